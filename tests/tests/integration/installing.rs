//! `make install` and `make uninstall`, below a directory of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cynic_tests::daemon::binary;

/// The script that the two targets call, as a package's builder would: under DESTDIR.
fn script(action: &str, destdir: &Path) -> Output {
    let built = binary("cynicd");
    let ended = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/install.sh"))
        .arg(action)
        .arg(built.parent().expect("its directory"))
        .args([destdir, Path::new("/usr"), Path::new("/etc")])
        .env("SYSTEMD_VERSION", "254")
        .output()
        .expect("the script runs");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    ended
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found
}

fn says(program: &Path, args: &[&str]) -> String {
    let ended = Command::new(program).args(args).output().expect("it runs");
    let said = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{} {args:?}: {said}", program.display());
    said.into_owned()
}

#[test]
fn what_is_installed_runs_and_is_removed_without_a_trace() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path();
    script("install", root);
    let at = |path: &str| root.join(path);
    for path in [
        "usr/share/man/man8/cynicd.8",
        "usr/share/man/man1/cynicctl-judge.1",
        "usr/share/bash-completion/completions/cynicctl",
        "usr/share/zsh/site-functions/_cynicctl",
        "usr/share/fish/vendor_completions.d/cynicctl.fish",
        "usr/lib/systemd/system/cynicd.socket",
        "usr/lib/systemd/system/cynicd.service.d/50-recent-systemd.conf",
        "usr/lib/sysusers.d/cynic.conf",
        "usr/lib/tmpfiles.d/cynic.conf",
    ] {
        let length = std::fs::metadata(at(path)).unwrap_or_else(|e| panic!("{path}: {e}")).len();
        assert!(length > 0, "{path} is empty");
    }
    // The unit starts what is installed, wherever that will be, and not where it was put together.
    let unit = std::fs::read_to_string(at("usr/lib/systemd/system/cynicd.service")).expect("it");
    assert!(unit.contains("ExecStart=/usr/bin/cynicd\n") && !unit.contains("@BINDIR"), "{unit}");
    assert!(says(&at("usr/bin/cynicctl"), &["--version"]).starts_with("cynicctl "));
    // The daemon takes the configuration, and finds the worker beside it.
    let config = at("etc/cynic/cynic.toml");
    says(&at("usr/bin/cynicd"), &["--check", "--config", &config.to_string_lossy()]);

    // Installed again it keeps what an operator has changed, and so does removing it.
    std::fs::write(&config, "[pool]\nsize = 1\n").expect("written");
    script("install", root);
    assert_eq!(std::fs::read_to_string(&config).expect("kept"), "[pool]\nsize = 1\n");
    script("uninstall", root);
    assert_eq!(files(root), std::slice::from_ref(&config));

    std::fs::remove_file(&config).expect("removed");
    script("install", root);
    script("uninstall", root);
    assert_eq!(files(root), [] as [PathBuf; 0]);
}
