//! Families of items: those that are read by one scanner and one table of features.

use std::sync::OnceLock;

use cynic_proto::model::{DIMENSIONS, Dimension, Domain};

use crate::spec::{HEADS, Spec};

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

    /// What is read as this family.
    pub fn name(self) -> &'static str {
        match self {
            Family::Text => "texts",
            Family::Shell => "commands",
            Family::Code => "code",
        }
    }

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

    /// The places in the table of the features that speak to a dimension.
    pub(crate) fn features_of(self, dimension: Dimension) -> &'static [u16] {
        static PLACES: OnceLock<Vec<Vec<u16>>> = OnceLock::new();
        let build = || {
            let of = |family: Family, dimension: usize| {
                let specs = family.specs().iter().enumerate();
                let own = specs.filter(|(_, spec)| spec.dimension as usize == dimension);
                own.map(|(n, _)| n as u16).collect()
            };
            Family::ALL
                .into_iter()
                .flat_map(|family| (0..DIMENSIONS).map(move |dimension| of(family, dimension)))
                .collect()
        };
        &PLACES.get_or_init(build)[self.index() * DIMENSIONS + dimension as usize]
    }

    /// How many heads it has: one for each domain, and for texts that for abuse.
    pub fn heads(self) -> usize {
        match self {
            Family::Text => HEADS,
            Family::Shell | Family::Code => 1,
        }
    }

    /// The domains that have a head of their own.
    pub fn domains(self) -> &'static [Domain] {
        match self {
            Family::Text => &[Domain::Social, Domain::Prompt, Domain::Prose],
            Family::Shell => &[Domain::Shell],
            Family::Code => &[Domain::Code],
        }
    }
}
