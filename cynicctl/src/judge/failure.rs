//! Every way in which an item ends without a judgment, in the one form that is shown.

use cynic_proto::error::{ErrorKind, TaskError};
use cynic_proto::ids::TaskId;
use cynic_proto::item::ItemErrorKind;

use crate::input::{Problem, ProblemKind};
use crate::view::judged::Failure;

/// Longest own id that is shown of an item that failed, as of one that was judged.
const ID_BYTES_MAX: usize = cynic_proto::limits::ITEM_ID_BYTES_MAX;

/// The cause that an unknown profile has.
pub(super) const UNKNOWN_PROFILE: &str = "unknown_profile";

/// An input that never became a task.
pub(super) fn of_problem(problem: Problem) -> Failure {
    let (kind, cause) = match problem.kind {
        ProblemKind::Unreadable => ("unreadable", None),
        ProblemKind::TooLarge => ("invalid_item", Some("too_large")),
        ProblemKind::Empty => ("invalid_item", Some("empty")),
        ProblemKind::Binary => ("invalid_item", Some("binary")),
    };
    Failure {
        item_id: None,
        task: None,
        kind,
        message: problem.message,
        cause: cause.map(str::to_owned),
        deaths: Vec::new(),
    }
}

/// A task that the daemon answered with an error.
pub(crate) fn of_task(task: TaskId, error: &TaskError) -> Failure {
    let cause = match error.kind {
        ErrorKind::InvalidItem(kind) => Some(item_error_name(kind).to_owned()),
        _ => error.deaths.last().map(|death| death.cause.to_string()),
    };
    let message = match error.deaths.last() {
        Some(death) => format!("{}; the last {death}", error.message),
        None => error.message.clone(),
    };
    let (kind, deaths) = (error.kind.name(), error.deaths.clone());
    Failure { item_id: None, task: Some(task), kind, message, cause, deaths }
}

const fn item_error_name(kind: ItemErrorKind) -> &'static str {
    match kind {
        ItemErrorKind::InvalidJson => "invalid_json",
        ItemErrorKind::WrongType => "wrong_type",
        ItemErrorKind::Empty => "empty",
        ItemErrorKind::TooLarge => "too_large",
        ItemErrorKind::UnknownProfile => UNKNOWN_PROFILE,
    }
}

/// The item's own id, where its bytes are JSON enough to have one.
pub(super) fn item_id(item: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct OnlyId {
        id: Id,
    }
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Id {
        Text(String),
        Number(i64),
    }
    let mut id = match serde_json::from_slice::<OnlyId>(item).ok()?.id {
        Id::Text(text) => text,
        Id::Number(number) => number.to_string(),
    };
    id.truncate(id.floor_char_boundary(ID_BYTES_MAX));
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_where_there_are_some() {
        assert_eq!(item_id(br#"{"id":"a","x":[1]}"#).as_deref(), Some("a"));
        assert_eq!(item_id(br#"{"id":7}"#).as_deref(), Some("7"));
        assert_eq!(item_id(br#"{"id":"a""#), None);
        assert_eq!(item_id(b"plain"), None);
    }
}
