//! Names of source code that mean something in their place: uses that are dangerous by themselves, where what others say
//! comes in ([`Meaning::Source`]), and where it does harm ([`Meaning::Sink`]). Own compilation, by the kinds of weakness
//! that the Common Weakness Enumeration tells apart.

use std::sync::OnceLock;

use super::{Hit, Scan, flow::Sink};
use crate::fold;
use crate::spec::Span;

/// What a name means in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Dangerous by itself.
    Danger(Hit),
    /// What others say comes in: of these kinds.
    Source(u8),
    /// What comes after it is run, opened, fetched, shown.
    Sink(Sink),
}

/// Somebody who asks says it.
pub(super) const ASKED: u8 = 1;
/// It comes from another host, or is hidden in an encoding.
pub(super) const FOREIGN: u8 = 2;
/// It is somebody's secret: what is made of it is none.
pub(super) const SECRET: u8 = 16;
/// Whoever starts the program says it.
pub(super) const TYPED: u8 = 8;
/// The host or its user keeps it to themselves.
pub(super) const KEPT: u8 = 4;

/// A name in its place. Alternatives are set apart by blanks; blanks and case in code do not matter.
struct Use {
    meaning: Meaning,
    /// What stands directly before the name; `^` where a name begins there. Nothing: anything.
    before: &'static str,
    names: &'static str,
    /// What follows directly. Nothing: anything.
    after: &'static str,
    /// One of these is near. Nothing: no matter.
    with: &'static str,
    /// None of these is near.
    unless: &'static str,
    /// Bytes after the name that are near it, where what is before it is not; 0: [`NEAR_BYTES`] on both sides.
    ahead: usize,
}

const fn used(
    meaning: Meaning,
    before: &'static str,
    names: &'static str,
    after: &'static str,
) -> Use {
    Use { meaning, before, names, after, with: "", unless: "", ahead: 0 }
}

impl Use {
    const fn with(self, with: &'static str) -> Use {
        Use { with, ..self }
    }

    const fn unless(self, unless: &'static str) -> Use {
        Use { unless, ..self }
    }

    const fn ahead(self, ahead: usize) -> Use {
        Use { ahead, ..self }
    }
}

const fn danger(hit: Hit, before: &'static str, names: &'static str, after: &'static str) -> Use {
    used(Meaning::Danger(hit), before, names, after)
}

const fn source(kind: u8, before: &'static str, names: &'static str, after: &'static str) -> Use {
    used(Meaning::Source(kind), before, names, after)
}

const fn sink(sink: Sink, before: &'static str, names: &'static str, after: &'static str) -> Use {
    used(Meaning::Sink(sink), before, names, after)
}

/// Names that a secret has.
const SECRETS: &str = "token= token( token: token; token) token{ secret passw otp= otp( csrf api_key apikey sessionid session_id reset_code resetcode";
/// Off, in the words of many languages.
const OFF: &str = ":false =false ,false ,0 =0 :0 :'0' =\"0\" ='0' (false";

const USES: &[Use] = &[
    // CWE-502
    danger(Hit::ObjectsLoaded, "^pickle. ^cpickle. ^_pickle. ^marshal. ^dill. ^cloudpickle. ^jsonpickle.", "load loads decode unpickler", "("),
    danger(Hit::ObjectsLoaded, "^yaml.", "load load_all", "(").unless("safeloader safe_load safeschema json_schema failsafe"),
    danger(Hit::ObjectsLoaded, "", "unsafe_load full_load unsafeloader", ""),
    danger(Hit::ObjectsLoaded, "^", "unserialize", "($").unless("allowed_classes"),
    danger(Hit::ObjectsLoaded, "serialize. serializer.", "unserialize", "("),
    danger(Hit::ObjectsLoaded, ".", "readobject", "()").unless("objectinputfilter validatingobjectinputstream"),
    danger(Hit::ObjectsLoaded, "new", "binaryformatter netdatacontractserializer losformatter soapformatter xmldecoder", "("),
    danger(Hit::ObjectsLoaded, "^marshal.", "load", "("),
    danger(Hit::ObjectsLoaded, "", "typenamehandling", "=").with("typenamehandling.all typenamehandling.auto typenamehandling.objects"),
    // CWE-611
    danger(Hit::EntitiesLoaded, "documentbuilderfactory. saxparserfactory. xmlinputfactory.", "newinstance newfactory", "(").unless("setfeature setproperty setattribute").ahead(400),
    danger(Hit::EntitiesLoaded, "new", "saxreader saxbuilder xmltextreader", "(").unless("setfeature prohibit").ahead(300),
    danger(Hit::EntitiesLoaded, "", "resolve_entities load_dtd", "=true"),
    danger(Hit::EntitiesLoaded, "", "libxml_noent libxml_dtdload", ""),
    danger(Hit::EntitiesLoaded, "", "noent", ":true =true"),
    danger(Hit::EntitiesLoaded, "", "libxml_disable_entity_loader", "(false"),
    danger(Hit::EntitiesLoaded, "", "dtdprocessing", "=dtdprocessing.parse"),
    danger(Hit::EntitiesLoaded, "", "xmlresolver", "=newxmlurlresolver"),
    // CWE-295
    danger(Hit::TlsOff, "", "rejectunauthorized strictssl verifypeer verify_ssl ssl_verify verify_certs tls_verify", OFF),
    danger(Hit::TlsOff, "", "insecureskipverify danger_accept_invalid_certs danger_accept_invalid_hostnames", ":true =true (true"),
    danger(Hit::TlsOff, "", "curlopt_ssl_verifypeer curlopt_ssl_verifyhost", ",0 ,false =>false =>0"),
    danger(Hit::TlsOff, "", "node_tls_reject_unauthorized", "='0' =\"0\" =0 ']='0' \"]=\"0\""),
    danger(Hit::TlsOff, "", "_create_unverified_context cert_none verify_none", ""),
    danger(Hit::TlsOff, "", "check_hostname", "=false"),
    danger(Hit::TlsOff, "", "servercertificatevalidationcallback servercertificatecustomvalidationcallback", "").with("true dangerousaccept").unless("sslpolicyerrors.none sslpolicyerrors==ssl"),
    danger(Hit::TlsOff, "", "checkservertrusted", "").with("{}"),
    danger(Hit::TlsOff, "", "hostnameverifier allowallhostnameverifier noophostnameverifier", "").with("->true returntrue noop allowall"),
    // CWE-347
    danger(Hit::SignatureSkipped, "", "verify_signature", "\":false ':false :false"),
    danger(Hit::SignatureSkipped, "jwt.", "decode", "(").with("verify=false options={\"verify"),
    danger(Hit::SignatureSkipped, "", "algorithms algorithm", "").with("\"none\" 'none'"),
    danger(Hit::SignatureSkipped, "", "parseunverified unsecured", "(").unless("test"),
    danger(Hit::SignatureSkipped, "jwt.", "decode", "(token) (token, (authtoken (bearer (raw").unless("algorithms verify key secret"),
    // CWE-330, CWE-338
    danger(Hit::SecretWeak, "^random. ^math. ^rand. ^mt_ ^", "randint choice choices random rand randrange intn mt_rand uniqid lcg_value sample int31n", "(").with(SECRETS).unless("systemrandom secrets. crypto. import secure_random securerandom mean seed("),
    danger(Hit::SecretWeak, "new", "random", "(").with(SECRETS).unless("securerandom"),
    // CWE-916, CWE-328
    danger(Hit::SecretWeak, "", "md5 sha1 sha256 md5hex sha1hex sha256hex sha256_hash createhash getinstance sum256", "( .").with("passw pwd").unless("pbkdf2 hmac argon2 bcrypt scrypt checksum etag gravatar").ahead(90),
    // CWE-327, CWE-329
    danger(Hit::CipherWeak, "", "mode_ecb", ""),
    danger(Hit::CipherWeak, "", "createcipher", "("),
    danger(Hit::CipherWeak, "", "createcipheriv createdecipheriv openssl_encrypt getinstance ciphermode cipher", "( . =").with("-ecb /ecb .ecb (\"des\" (\"des/ \"rc4\" des-cbc \"aes\") \"blowfish\""),
    danger(Hit::CipherWeak, "^des. ^arc4. ^des3.", "new", "("),
    danger(Hit::CipherWeak, "^des. ^rc4.", "newcipher", "("),
    danger(Hit::CipherWeak, "", "iv", "=b\" =b' =\" =' =buffer.alloc(16 :=[]byte(\"").unless("hex environ getenv"),
    // CWE-489, CWE-942, CWE-732, CWE-377
    danger(Hit::OriginAny, ".", "setallowedorigins setallowedoriginpatterns allowedorigins allowedoriginpatterns addallowedorigin addallowedoriginpattern", "(").with("\"*\"").ahead(60),
    danger(Hit::TempGuessed, "", "getmypid getpid", "(").with("/tmp/"),
    danger(Hit::DebugOn, "^ ,", "debug", "=true").with("run( allowed_hosts secret_key databases installed_apps"),
    danger(Hit::OriginAny, "headers. headers.get( header(' header(\" headers[' header.get(\"", "origin", "").with("allow-origin"),
    danger(Hit::OriginAny, ".", "set header setheader add", "(\"access-control-allow-origin\",\"*\" ('access-control-allow-origin','*' (\"access-control-allow-origin\",r.header (\"access-control-allow-origin\",origin").with("credentials"),
    danger(Hit::OriginAny, "", "origin origins allow_origins alloworigins allowedorigins", ":true =[\"*\"] :'*' :\"*\" (\"*\") =['*']").with("credentials"),
    danger(Hit::OriginAny, "", "csrf_exempt verifyauthenticitytoken skip_before_action", "").with("csrf_exempt verify_authenticity_token"),
    danger(Hit::AccessOpen, "", "chmod fchmod mkdir mkdirall makedirs writefile openfile open umask setpermissions from_mode chmodsync", "(").with(",0777 ,0o777 ,0o666 ,0666 ,511) umask(0) s_irwxo (0o777) (0o666) '777'"),
    danger(Hit::TempGuessed, "^ ^tempfile. ^os.", "mktemp tmpnam tempnam tmpnam_r", "("),
    danger(Hit::TempGuessed, "", "open fopen file openfile create writefile writefilesync writealltext", "(\"/tmp/ ('/tmp/ (f\"/tmp/ (f'/tmp/ (`/tmp/"),
    // CWE-400, CWE-367
    danger(Hit::ReadUnbounded, "^ioutil. ^io.", "readall", "(r.body (req.body (request.body"),
    danger(Hit::ReadUnbounded, "getinputstream().", "readallbytes", "("),
    danger(Hit::RaceLeft, "^", "access", "(").with("r_ok w_ok f_ok x_ok").ahead(60),
    // CWE-120, CWE-134
    danger(Hit::AllocUnchecked, "= =(", "malloc calloc realloc strdup strndup", "(").with("-> [").unless("if( assert( null ?").ahead(130),
    danger(Hit::BufferUnbounded, "^", "gets", "(").unless("fgets socket stdin puts chomp"),
    danger(Hit::BufferUnbounded, "^ ^std::", "strcpy strcat stpcpy wcscpy lstrcpy", "(").unless("strlen sizeof length <="),
    danger(Hit::BufferUnbounded, "^ ^std::", "sprintf vsprintf", "(").with("%s").unless("sprintf(\" sprintf(' sprintf($ strlen sizeof").ahead(140),
    danger(Hit::BufferUnbounded, "^", "scanf sscanf fscanf", "(").with("\"%s %s\" %[^"),
    danger(Hit::BufferUnbounded, "^ ^std::", "memcpy memmove", "(").with("strlen( ->len hdr. hdr-> header->").unless("sizeof if( min( malloc("),
    // CWE-22
    danger(Hit::RequestPath, "^entry. ^zipentry. ^header. ^hdr. ^member. ^ze.", "getname name filename path fullname filename", "() ) ,").with("path.join( filepath.join( newfile( path.combine( resolve( /member.filename /entry.filename").unless("canonical normaliz startswith hasprefix safe relative islocal"),
    danger(Hit::RequestPath, ".", "extractall", "(").unless("filter= members= data_filter tar_filter normpath realpath abspath commonpath startswith"),
    // CWE-915
    danger(Hit::RequestAssigned, "->", "forcefill", "("),
    danger(Hit::RequestAssigned, "[", "key k prop property", "]=").with("for(constkeyin for(letkeyin for(varkeyin for(constkin for(letkin for(varkin for(constpropin for(letpropin .foreach((key .foreach(key").unless("__proto__ hasown object.create(null prototype"),
    danger(Hit::RequestAssigned, ".", "create fill update insert insertone findbyidandupdate assign findoneandupdate build updateone", "(req.body) ($request->all()) (user,req.body) (**request. (req.params.id,req.body (...req.body ({...req.body").unless("pick( only("),
    danger(Hit::RequestAssigned, "^object.", "assign", "(").with(",req.body) ,request.body)"),
    danger(Hit::RequestAssigned, "params.", "permit", "!"),
    danger(Hit::RequestAssigned, "", "setattr", "(").with("request. data.items payload.items body.items"),
    // CWE-390, CWE-208
    danger(Hit::ErrorsSwallowed, "except: exception: exceptionase:", "pass", ""),
    danger(Hit::ErrorsSwallowed, "", "catch", "(e){} (err){} (error){} (ex){} (_){} (exceptione){} (exceptionex){} (exceptionignored){} {}"),
    danger(Hit::TimingTold, "", "hexdigest digest", "()== ()!= ('hex')== ('hex')!= (\"hex\")== (\"hex\")!="),
    danger(Hit::TimingTold, "== != ===", "signature hmac hexdigest expectedsignature expected_signature computed_signature expectedtoken expected_token", "").unless("compare equals("),
    danger(Hit::TimingTold, "", "signature hmac expectedsignature expected_signature computed_signature", "== !="),
    // CWE-95
    danger(Hit::Evaluated, "new", "function", "(").unless("function()"),
    danger(Hit::Evaluated, "^vm.", "runinnewcontext runinthiscontext runincontext", "("),
    danger(Hit::Evaluated, "^", "create_function", "("),
    danger(Hit::Evaluated, ".", "instance_eval class_eval", "(params (code (body"),
    // CWE-506: a shell for somebody else.
    danger(Hit::RemoteRun, "^os.", "dup2", "(").with("fileno()"),
    danger(Hit::RemoteRun, "^", "dup2", "(sock (s, (fd,0 (sockfd").with("/bin/sh /bin/bash execve execl"),
    danger(Hit::RemoteRun, ".", "pipe", "(").with("/bin/sh cmd.exe /bin/bash").unless("stdout.pipe(process"),
    // What others say comes in.
    source(ASKED, "^request. ^self.request. ^flask.request. ^req. ^ctx. ^ctx.request. ^context. ^request.get_", "args form values json files data body query params headers cookies get_json querystring rawquery stream cookie param", ". [ ( ) , ;"),
    source(ASKED, "^request.", "get post", "[ .get( .getlist"),
    source(ASKED, "^request->", "input get post query all file header cookie route", "("),
    source(ASKED, "^request. ^req. ^httprequest.", "getparameter getheader getquerystring getinputstream getreader getcookies getpart getpathinfo", "("),
    source(ASKED, "$", "_get _post _request _cookie _files", "["),
    source(ASKED, "^", "params", "["),
    source(ASKED, "^r. ^req. ^request.", "formvalue postformvalue urlparam header body pathvalue", "( .get ,"),
    source(ASKED, "^r.url. ^req.url. ^request.url.", "query path rawquery", "( )"),
    source(ASKED, "^mux.", "vars", "("),
    source(ASKED, "^chi.", "urlparam", "("),
    source(ASKED, "^c. ^ctx. ^context.", "param query postform formvalue queryparam", "(\""),
    source(TYPED, "^", "argv", "["),
    source(TYPED, "^sys. ^process. ^os.", "argv args", ""),
    source(TYPED, "^", "input raw_input gets", "("),
    source(ASKED, "^location. ^window.location. ^document.location.", "hash search href", "). ; . )"),
    source(ASKED, "^document. ^window.", "referrer url", ". ; ) ,"),
    source(ASKED, "", "querystringparameters pathparameters urlsearchparams", ""),
    source(ASKED, "^event. ^e. ^msg. ^message.", "data", ". ) ; ,").with("addeventlistener onmessage websocket postmessage"),
    source(FOREIGN, "", "b64decode atob base64_decode frombase64string decode64 unhexlify", "("),
    source(FOREIGN, "^base64.", "decode decodestring", "("),
    source(FOREIGN, "", "urlopen urlretrieve downloadstring downloaddata", "("),
    source(FOREIGN, "^requests. ^axios. ^httpx. ^http. ^https. ^got. ^net::http.", "get", "(").with(".text .content .data .body exec eval"),
    source(FOREIGN, "^zlib. ^gzip. ^", "decompress gzinflate str_rot13 inflatesync", "("),
    source(FOREIGN, "^buffer.", "from", "(").with("base64 'hex'"),
    source(KEPT, "^os.", "environ", ") , ; .items .copy }"),
    source(KEPT, "^process.", "env", ") , ; }"),
    source(KEPT, "^os.", "environ", "()"),
    source(SECRET, "", "password passwd passphrase pwd secret_key secretkey card_number cardnumber cvv ssn private_key", ") , ; } + ]"),
    // Where it does harm.
    sink(Sink::Run, "^ ^os. ^subprocess. ^child_process. ^cp. ^childprocess. runtime(). ^runtime. ^shell. ^kernel. ^io. ^open3.", "system popen exec execsync shell_exec passthru proc_open check_output check_call getoutput call run spawn capture2 capture3 pcntl_exec execasync", "("),
    sink(Sink::Run, "^exec. ^process. ^command. ^tokio::process::command::", "command start new", "(\"sh\" (\"bash\" (\"/bin/sh\" (\"cmd (ctx,\"sh\" (ctx,\"bash\" (\"/bin/bash\" (\"sh\").arg"),
    sink(Sink::Run, "new", "processbuilder", "(\"sh\" (\"bash\" (\"/bin/sh\" (\"cmd"),
    sink(Sink::Eval, "^ ^vm. new", "eval exec function compile assert runinnewcontext runinthiscontext execscript create_function loadstring", "("),
    sink(Sink::Path, "^ ^io. ^fs. ^fsp. ^fs.promises. ^os. ^ioutil. ^file. ^files. ^shutil. ^http. ^flask. ^response. ^res. ^file:: ^storage:: ^std::fs:: ^fs:: ^c. ^path. ^pathlib. new", "open fopen readfile readfilesync writefile writefilesync createreadstream createwritestream unlink unlinksync remove rmtree send_file sendfile fileresponse fileinputstream filereader filewriter fileoutputstream readalltext readallbytes writealltext physicalfile file_get_contents file_put_contents download servefile read_to_string read_text rename move_uploaded_file readlines attachment newinputstream saveas", "("),
    sink(Sink::Path, "^", "include include_once require require_once", "( $ '"),
    sink(Sink::Path, "^", "file", "(").with("new file( inputstream reader"),
    sink(Sink::Fetch, "^ ^requests. ^httpx. ^axios. ^http. ^https. ^got. ^urllib.request. ^session. ^client. ^uri. ^request. ^httpclient. ^_httpclient. ^_client. ^net::http. ^reqwest:: ^http:: ^aiohttp. ^needle. ^superagent.", "get post put head urlopen fetch urlretrieve curl_init getasync getstringasync getstreamasync request newrequest axios got get_response getforobject", "("),
    sink(Sink::Fetch, "new", "url", "(").with("openstream openconnection"),
    sink(Sink::Fetch, "", "curlopt_url", ","),
    sink(Sink::Redirect, "^ ^res. ^response. ^http. ^c. ^ctx. ^flask. ^resp. ^reply. ^this. ^controller.", "redirect redirect_to sendredirect httpresponseredirect redirectresponse redirectpermanent", "("),
    sink(Sink::Redirect, "^", "header", "(\"location ('location"),
    sink(Sink::Redirect, "^window. ^document. ^", "location", "=").unless("=="),
    sink(Sink::Redirect, "^location. location.", "href assign replace", "= ("),
    sink(Sink::Html, ".", "innerhtml outerhtml", "= +="),
    sink(Sink::Html, ".", "insertadjacenthtml", "("),
    sink(Sink::Html, "^document.", "write writeln", "("),
    sink(Sink::Html, "^", "echo", ""),
    sink(Sink::Html, "^", "print", "$ \"< '<"),
    sink(Sink::Html, "^", "render_template_string markup mark_safe htmlresponse raw format_html httpresponse", "("),
    sink(Sink::Html, "^flask. ^markupsafe. ^html.", "render_template_string markup raw", "("),
    sink(Sink::Html, "^res. ^response. ^reply.", "send write end", "(").unless("({ application/json text/plain"),
    sink(Sink::Html, "^fmt.", "fprintf fprint fprintln", "(w,").unless("text/plain application/json"),
    sink(Sink::Html, "^w.", "write", "([]byte(").unless("json.marshal text/plain application/json"),
    sink(Sink::Html, "^io.", "writestring", "(w,"),
    sink(Sink::Html, "getwriter(). ^out. ^writer. ^pw.", "print println write printf append", "("),
    sink(Sink::Html, "^template.", "html", "("),
    sink(Sink::Html, "", "__html", ":"),
    sink(Sink::Html, ").", "html append prepend", "("),
    sink(Sink::Html, "html.", "raw", "("),
    sink(Sink::Log, "^log. ^logger. ^logging. ^self.logger. ^console. ^slog. ^_logger. ^rails.logger. ^log:: ^this.logger. ^app.logger.", "info debug warning warn error log printf println exception critical trace fatal logdebug loginformation logwarning write", "("),
    sink(Sink::Log, "^", "error_log console_log nslog", "("),
    sink(Sink::Send, "^requests. ^axios. ^httpx. ^http. ^https. ^urllib.request. ^http.client. ^", "post put request urlopen fetch get", "("),
    sink(Sink::Send, ".", "sendall send post sendto write", "("),
];

/// Bytes before and after a name that are near it.
const NEAR_BYTES: usize = 180;
/// How often what is near one use is looked at: a file of nothing else costs no more, and hides no other use.
const LOOKS_MAX: u16 = 512;

/// The uses by the hash of a name, with a sieve before them: hardly any name is in it.
struct Index {
    sieve: [u64; 256],
    by_hash: Vec<(u64, usize)>,
    places: Vec<Place>,
}

/// A [`Use`] with its alternatives apart.
struct Place {
    meaning: Meaning,
    before: Vec<&'static [u8]>,
    after: Vec<&'static [u8]>,
    with: Vec<&'static str>,
    unless: Vec<&'static str>,
    ahead: usize,
}

impl Place {
    fn of(use_: &Use) -> Place {
        let words = |text: &'static str| text.split(' ').filter(|word| !word.is_empty());
        let bytes = |text: &'static str| words(text).map(str::as_bytes).collect();
        Place {
            meaning: use_.meaning,
            before: bytes(use_.before),
            after: bytes(use_.after),
            with: words(use_.with).collect(),
            unless: words(use_.unless).collect(),
            ahead: use_.ahead,
        }
    }

    /// Whether a name here is this use, by what stands directly at it.
    fn fits(&self, head: &[u8], tail: &[u8]) -> bool {
        (self.after.is_empty() || self.after.iter().any(|part| starts_with(tail, part)))
            && (self.before.is_empty() || self.before.iter().any(|part| ends_with(head, part)))
    }

    fn asks_what_is_near(&self) -> bool {
        !(self.with.is_empty() && self.unless.is_empty())
    }

    fn is_so(&self, near: &str) -> bool {
        let has = |word: &&str| near.contains(*word);
        (self.with.is_empty() || self.with.iter().any(has)) && !self.unless.iter().any(has)
    }
}

fn index() -> &'static Index {
    static INDEX: OnceLock<Index> = OnceLock::new();
    INDEX.get_or_init(|| {
        let names = USES.iter().enumerate().flat_map(|(place, use_)| {
            use_.names.split(' ').map(move |name| (fold::hash(name.as_bytes()), place))
        });
        let mut by_hash: Vec<(u64, usize)> = names.collect();
        by_hash.sort_unstable();
        let mut sieve = [0; 256];
        for (hash, _) in &by_hash {
            sieve[sieve_bit(*hash) / 64] |= 1 << (sieve_bit(*hash) % 64);
        }
        Index { sieve, by_hash, places: USES.iter().map(Place::of).collect() }
    })
}

fn sieve_bit(hash: u64) -> usize {
    hash as usize % (256 * 64)
}

/// Looks names up in their places.
pub(super) struct Looker {
    index: &'static Index,
    /// How often what is near each use was looked at.
    looks: Vec<u16>,
}

impl Default for Looker {
    fn default() -> Looker {
        Looker { index: index(), looks: vec![0; USES.len()] }
    }
}

impl Looker {
    /// Everything that the name at this place means, but for what was found often enough.
    pub(super) fn look(&mut self, all: &Scan, text: &str, span: Span, hash: u64) -> Vec<Meaning> {
        let index = self.index;
        let bit = sieve_bit(hash);
        if index.sieve[bit / 64] & 1 << (bit % 64) == 0 {
            return Vec::new();
        }
        let bytes = text.as_bytes();
        let (head, tail) = (&bytes[..span.0], skip_blanks(&bytes[span.1..]));
        let first = index.by_hash.partition_point(|(other, _)| *other < hash);
        let own = index.by_hash[first..].iter().take_while(|(other, _)| *other == hash);
        own.map(|(_, number)| (*number, &index.places[*number]))
            .filter(|(_, place)| place.fits(head, tail))
            .filter(|(_, place)| !matches!(place.meaning, Meaning::Danger(hit) if all.hit(hit) >= ENOUGH))
            .filter(|(number, place)| {
                if !place.asks_what_is_near() {
                    return true;
                }
                let looks = &mut self.looks[*number];
                *looks = looks.saturating_add(1);
                *looks <= LOOKS_MAX && place.is_so(&surroundings(bytes, span, place.ahead))
            })
            .map(|(_, place)| place.meaning)
            .collect()
    }
}

/// Further finds of the same say no more.
const ENOUGH: f32 = 3.0;

/// What is near a name, in lower case, without blanks and what is not ASCII.
fn surroundings(bytes: &[u8], span: Span, ahead: usize) -> String {
    let (before, after) = if ahead > 0 { (0, ahead) } else { (NEAR_BYTES, NEAR_BYTES) };
    let near = &bytes[span.0.saturating_sub(before)..(span.1 + after).min(bytes.len())];
    let mut kept = Vec::with_capacity(near.len());
    kept.extend(near.iter().filter(|byte| byte.is_ascii_graphic()).map(u8::to_ascii_lowercase));
    String::from_utf8(kept).unwrap_or_default()
}

/// Most blanks that are passed over.
const BLANKS_MAX: usize = 64;

fn skip_blanks(bytes: &[u8]) -> &[u8] {
    let blanks =
        bytes.iter().take(BLANKS_MAX).take_while(|byte| byte.is_ascii_whitespace()).count();
    &bytes[blanks..]
}

/// Whether bytes that begin with no blank begin so; blanks between do not matter.
fn starts_with(mut bytes: &[u8], part: &[u8]) -> bool {
    part.iter().all(|wanted| match bytes.split_first() {
        Some((byte, rest)) if byte.eq_ignore_ascii_case(wanted) => {
            bytes = skip_blanks(rest);
            true
        }
        _ => false,
    })
}

fn ends_with(mut bytes: &[u8], part: &[u8]) -> bool {
    for wanted in part.iter().rev() {
        if *wanted == b'^' {
            let joined = |byte: &u8| super::in_name(*byte) || matches!(byte, b'.' | b'>' | b':');
            return !bytes.last().is_some_and(joined);
        }
        let blanks = bytes
            .iter()
            .rev()
            .take(BLANKS_MAX)
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        bytes = &bytes[..bytes.len() - blanks];
        match bytes.split_last() {
            Some((last, rest)) if last.eq_ignore_ascii_case(wanted) => bytes = rest,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_can_be_met() {
        let folded = |byte: u8| super::super::in_name(byte) && !byte.is_ascii_uppercase();
        for name in USES.iter().flat_map(|use_| use_.names.split(' ')) {
            assert!(!name.is_empty() && name.bytes().all(folded), "{name:?} is no folded name");
        }
    }
}
