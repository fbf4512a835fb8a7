//! The recorder on real stores: a SQLite file and a private PostgreSQL server.
#![expect(dead_code, reason = "parts of the rig wait for their tests")]

#[cfg(test)]
mod basics;
#[cfg(test)]
mod entries;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod rig;
