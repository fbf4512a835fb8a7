//! The recorder on real stores: a SQLite file and a private PostgreSQL server.

#[cfg(test)]
mod basics;
#[cfg(test)]
mod disks;
#[cfg(test)]
mod entries;
#[cfg(test)]
mod feedback;
#[cfg(test)]
mod history;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod letters;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod tmpfs;
