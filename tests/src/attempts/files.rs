//! Attempts on files and descriptors.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Attempt, Target, call};

pub(super) const ATTEMPTS: &[(&str, Attempt)] = &[
    ("read_a_file", |t| File::open(&t.file).map(drop)),
    ("append_to_a_file", |t| OpenOptions::new().append(true).open(&t.file).map(drop)),
    ("create_a_file", |t| File::create(t.file.with_extension("new")).map(drop)),
    ("look_at_a_file", |t| std::fs::metadata(&t.file).map(drop)),
    ("list_a_directory", |t| std::fs::read_dir(parent(t)).map(drop)),
    ("open_a_file_the_new_way", open_the_new_way),
    ("make_a_directory", |t| std::fs::create_dir(t.file.with_extension("directory"))),
    ("rename_a_file", |t| std::fs::rename(&t.file, t.file.with_extension("renamed"))),
    ("remove_a_file", |t| std::fs::remove_file(&t.file)),
    ("link_a_file", |t| std::fs::hard_link(&t.file, t.file.with_extension("linked"))),
    ("change_a_files_mode", |t| {
        std::fs::set_permissions(&t.file, std::fs::Permissions::from_mode(0o777))
    }),
    ("change_directory", |t| std::env::set_current_dir(parent(t))),
    ("read_an_inherited_descriptor", read_an_inherited_descriptor),
    ("duplicate_a_descriptor", |_| call(libc::SYS_dup, [0]).map(drop)),
    ("write_to_a_descriptor_of_its_own", |t| {
        call(libc::SYS_write, [i64::from(t.descriptor), c"x".as_ptr() as i64, 1]).map(drop)
    }),
    ("make_a_memory_file", |_| {
        call(libc::SYS_memfd_create, [c"memory".as_ptr() as i64, 0]).map(drop)
    }),
    ("watch_files", |_| call(libc::SYS_inotify_init1, [0]).map(drop)),
];

fn parent(target: &Target) -> &Path {
    target.file.parent().expect("a file in a directory")
}

fn open_the_new_way(target: &Target) -> io::Result<()> {
    let path = CString::new(target.file.as_os_str().as_bytes())?;
    // `struct open_how` of zeros: read only.
    let how = [0_u64; 3];
    let arguments = [i64::from(libc::AT_FDCWD), path.as_ptr() as i64, how.as_ptr() as i64, 24];
    call(libc::SYS_openat2, arguments).map(drop)
}

fn read_an_inherited_descriptor(target: &Target) -> io::Result<()> {
    let mut byte = [0_u8; 1];
    let arguments = [i64::from(target.descriptor), byte.as_mut_ptr() as i64, 1];
    call(libc::SYS_read, arguments).map(drop)
}
