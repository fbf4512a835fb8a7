//! Families of items: those that are read by one scanner and one table of features.

use cynic_proto::model::Domain;

use crate::spec::Spec;

/// Items that are read alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Natural language.
    Text,
    /// Commands for a shell.
    Shell,
    /// Source code.
    Code,
}

impl Family {
    /// How many there are.
    pub const COUNT: usize = 3;
    /// All of them.
    pub const ALL: [Family; Family::COUNT] = [Family::Text, Family::Shell, Family::Code];

    /// Its place in [`Family::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The table of features.
    pub fn specs(self) -> &'static [Spec] {
        match self {
            Family::Text => crate::text::features::SPECS,
            Family::Shell => crate::shell::features::SPECS,
            Family::Code => crate::code::features::SPECS,
        }
    }

    /// The domains that have a head of their own.
    pub fn heads(self) -> &'static [Domain] {
        match self {
            Family::Text => &[Domain::Social, Domain::Prompt, Domain::Prose],
            Family::Shell => &[Domain::Shell],
            Family::Code => &[Domain::Code],
        }
    }
}
