//! The daemon as a whole: the real programs, a real socket, a real database.

mod judging;
mod shutdown;

use cynic_proto::ids::TaskId;
use cynic_proto::item::{Form, Hint};
use cynic_proto::message::{Ack, Judge, Lane};

/// A request to judge a JSON item, answered as soon as it is judged.
fn request() -> Judge {
    Judge {
        task: TaskId::new(),
        retry: false,
        lane: Lane::Interactive,
        ack: Ack::Judged,
        deadline_ms: None,
        hint: Hint::default(),
    }
}

/// The same for a plain text.
fn plain_request() -> Judge {
    Judge { hint: Hint { form: Form::Plain, ..Hint::default() }, ..request() }
}
