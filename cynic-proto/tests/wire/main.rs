//! The wire: the bytes of each message, and what any other bytes come to.

mod arbitrary;
mod golden;
mod properties;
