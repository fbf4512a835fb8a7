//! Proof that a worker is denied what it should be, and can still do and die as it should.
//!
//! Every attempt is made twice by the same program: without the sandbox, where it must go through (else the
//! test would prove nothing), and with it.

mod denied;
mod layers;
mod ordinary;
mod probe;
