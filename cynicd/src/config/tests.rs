use super::*;

fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let table = text.parse().expect("valid TOML");
    let variables = variables.iter().map(|(k, v)| (k.into(), v.into()));
    let mut file = file::with_environment(table, variables)?;
    file.pool.worker = Some(env::current_exe().expect("this test"));
    file.data_dir.get_or_insert_with(|| "/data".into());
    resolve(file, Overrides::default())
}

#[test]
fn nothing_configured_is_sound() {
    let config = parse("", &[]).expect("defaults");
    assert_eq!(config.sandbox, SandboxMode::Required);
    assert_eq!((config.socket.mode, config.socket.gid), (0o660, None));
    assert_eq!((config.admin_socket.mode, config.admin_socket.gid), (0o600, None));
    assert_eq!(config.admin_socket.path, socket::admin_of(&config.socket.path));
    assert_eq!(config.access, Access::default());
    assert_eq!(config.database, None);
    assert_eq!(config.retention, Retention::default());
}

#[test]
fn the_environment_overrides_the_file() {
    let variables = [("CYNIC_POOL__SIZE", "3"), ("CYNIC_DATA_DIR", "/elsewhere")];
    let config = parse("[pool]\nsize = 7\nsandbox = \"off\"", &variables).expect("valid");
    assert_eq!(config.pool.size.get(), 3);
    assert_eq!(config.data_dir, PathBuf::from("/elsewhere"));
    assert_eq!(config.sandbox, SandboxMode::Off);
    let config = parse("socket = \"/of/the/file\"", &[("CYNIC_SOCKET", "/s")]).expect("valid");
    assert_eq!(config.socket.path, PathBuf::from("/s"));
}

#[test]
fn records_are_kept_as_long_as_configured() {
    let config = parse("[recorder]\nretention_days = 7\nretention_rows = 0", &[]).expect("valid");
    let week = Duration::from_hours(7 * 24);
    assert_eq!(config.retention, Retention { age_max: Some(week), rows_max: None });
}

#[test]
fn mistakes_are_named() {
    let error =
        |text: &str, variables: &[_]| parse(text, variables).expect_err("invalid").to_string();
    assert!(error("", &[("CYNIC_POOL__SIZES", "3")]).contains("CYNIC_POOL__SIZES"));
    assert!(error("[pool]\nsize = 0", &[]).starts_with("pool.size: 0 is outside 1 to 1024"));
    assert!(error("[pool]\nsize = \"many\"", &[]).contains("neither a number"));
    assert!(error("[recorder]\nspool_mib_max = 0", &[]).contains("spool_mib_max"));
    assert!(error("socket_mode = \"rw\"", &[]).contains("octal"));
    assert!(error("socket_mode = \"1777\"", &[]).contains("\"0000\" to \"0777\""));
    for key in ["strikes_max", "cpu_s", "recycle_tasks"] {
        let text = format!("[pool]\n{key} = 0");
        assert_eq!(error(&text, &[]), format!("pool.{key}: must be at least 1"));
    }
    assert!(error("[pool]\nchunk_items_max = 0", &[]).contains("0 is outside 1 to 10000"));
    assert!(error("[clients]\nframe_bytes_max = 65535", &[]).contains("65536 to 16777216"));
    assert!(error("[queue]\nbytes_max_mib = 15", &[]).contains("15 is outside 16 to 1048576"));
    assert!(error("socket = \"\"", &[]).contains("1 to 107 bytes"));
    let long = format!("socket = \"/{}\"", "s".repeat(120));
    assert!(error(&long, &[]).contains("107 bytes"));
    assert!(error("data_dir = \"\"", &[]).contains("is empty"));
    assert!(error("admin_socket_group = \"nobodys\"", &[]).contains("no group `nobodys`"));
    assert!(error("socket = \"/s\"\nadmin_socket = \"/s\"", &[]).contains("another path"));
    assert!(
        error("[access]\nread = [\"nobodys\"]", &[]).starts_with("access.read: there is no user")
    );
    assert!(error("[access]\nshare_per_user = 0", &[]).contains("0.01 to 1"));
    assert!(error("[deadlines]\nsoft_ms = 5000", &[]).contains("hard_ms"));
    assert!(error("[judge]\ntrusted_keys = [\"ab\"]", &[]).contains("64 hexadecimal"));
}

#[test]
fn a_value_that_cannot_be_is_named_by_where_it_was_set() {
    let text = "[pool]\nsize = 0\n";
    let place = |path, variable: &str| {
        let message = "0 is outside".to_owned();
        file::place("pool.size", message, text, path, |name| name == variable).to_string()
    };
    let path = Some(Path::new("c.toml"));
    assert!(place(path, "CYNIC_POOL__SIZE").starts_with("environment variable CYNIC_POOL__SIZE"));
    assert!(place(path, "CYNIC_SIZE").starts_with("c.toml, line 2: pool.size"));
    assert!(place(None, "CYNIC_SIZE").starts_with("pool.size"));
}

#[test]
fn roles_and_sockets_are_given_by_name_or_number() {
    let text = "admin_socket_group = 0\n[access]\njudge = [\"@root\", 1000]\nadmin = [\"root\"]";
    let config = parse(text, &[]).expect("valid");
    assert_eq!((config.admin_socket.mode, config.admin_socket.gid), (0o660, Some(0)));
    assert_eq!(config.access.judge, Members::resolve(&["@0", "1000"]).expect("ids"));
    assert_eq!(config.access.admin, Members::resolve(&["0"]).expect("an id"));
    assert_eq!(config.clients_per_uid_max, 768);
    assert_eq!(config.pool.tasks_per_uid_max, 3072);
}

#[test]
fn mistakes_in_the_file_are_named_with_their_line() {
    let dir = env::temp_dir().join(format!("cynic-config-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("temporary directory");
    let path = dir.join("cynic.toml");
    fs::write(&path, "[pool]\nsize = 2\nsise = 3\n").expect("written");
    let source = Source { file: Some(path.clone()), overrides: Overrides::default() };
    let unknown = source.load().expect_err("unknown key").to_string();
    fs::write(&path, "# size = 1\n[pool]\nstrikes_max = 2\nsize = 0\n").expect("written");
    let out_of_range = source.load().expect_err("out of range").to_string();
    fs::remove_dir_all(&dir).expect("removed");
    assert!(unknown.contains("line 3") && unknown.contains("sise"), "{unknown}");
    assert!(out_of_range.contains("line 4: pool.size: 0 is outside"), "{out_of_range}");
}
