//! Which family and domain an item belongs to: by its type, its context, its name, else by its look.

use cynic_proto::model::Domain;

use crate::family::Family;
use crate::item::{BodyKind, Item, Shown};
use crate::record;

/// Where an item goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    /// How it is read.
    pub family: Family,
    /// Its domain where that is said rather than detected.
    pub domain: Option<Domain>,
}

/// Bytes of a body that are looked at to tell commands from code: a screenful.
const LOOK_BYTES_MAX: usize = 4096;

/// Routes an item. Its set, file or origin are not known here and take no part.
pub(crate) fn route(item: &Item) -> Route {
    if let Some(route) = item.item_type.as_deref().and_then(by_type) {
        return route;
    }
    let code = item.item_type.as_deref() == Some("code") || item.body_kind == BodyKind::Code;
    if let Some(route) = item.name.as_deref().and_then(by_name) {
        return route;
    }
    if matches!(item.shown, Some(Shown::Mail(_))) {
        return text(Domain::Social);
    }
    let context = item.context.kind.as_deref().and_then(by_type);
    if let Some(route) = context {
        let fits = (route.family != Family::Text) == code;
        if fits {
            return route;
        }
    }
    if code {
        return shell_or_code(&item.body);
    }
    if item.item_type.as_deref() == Some("event") || item.body_kind == BodyKind::Event {
        return text(Domain::General);
    }
    if item.body.starts_with("#!") && is_script(&item.body) {
        return shell_or_code(&item.body);
    }
    if record::is_log(&item.body) {
        return text(Domain::General);
    }
    Route { family: Family::Text, domain: None }
}

/// Whether an item that looks like a mail is read as one. What is handed to a model is read as the model will see it.
pub(crate) fn may_be_mail(item: &Item) -> bool {
    let said = item.item_type.as_deref().and_then(by_type);
    let said = said.or_else(|| item.name.as_deref().and_then(by_name));
    let said = said.or_else(|| item.context.kind.as_deref().and_then(by_type));
    item.body_kind == BodyKind::Content
        && said.is_none_or(|route| route.domain == Some(Domain::Social))
        && matches!(item.item_type.as_deref(), None | Some("text" | "mail" | "email" | "message"))
}

fn text(domain: Domain) -> Route {
    Route { family: Family::Text, domain: Some(domain) }
}

const SHELL: Route = Route { family: Family::Shell, domain: Some(Domain::Shell) };
const CODE: Route = Route { family: Family::Code, domain: Some(Domain::Code) };

/// Types and kinds of context that say the domain.
fn by_type(name: &str) -> Option<Route> {
    Some(match name {
        "message" | "mail" | "email" | "sms" | "chat" | "comment" | "post" | "tweet" | "review"
        | "social" | "dm" => text(Domain::Social),
        "prompt" | "tool_output" | "tool" | "tool_result" | "retrieved" | "instruction" | "llm"
        | "completion" | "agent" => text(Domain::Prompt),
        "article" | "argument" | "essay" | "prose" | "documentation" | "doc" | "paper"
        | "wisdom" => text(Domain::Prose),
        "command" | "shell" | "bash" | "sh" | "cmd" | "powershell" | "terminal" => SHELL,
        "source" | "function" | "diff" | "patch" | "snippet" | "program" => CODE,
        _ => return None,
    })
}

/// Whether anything is known of items of that type.
pub(crate) fn is_known_type(name: &str) -> bool {
    matches!(name, "text" | "code" | "event" | "log" | "note" | "document")
        || by_type(name).is_some()
}

/// Endings of file names that say the domain.
fn by_name(name: &str) -> Option<Route> {
    let (_, ending) = name.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "sh" | "bash" | "zsh" | "ksh" | "fish" | "ps1" | "bat" | "cmd" => SHELL,
        "py" | "c" | "h" | "cc" | "cpp" | "hpp" | "rs" | "go" | "js" | "ts" | "jsx" | "tsx"
        | "java" | "kt" | "rb" | "php" | "pl" | "cs" | "swift" | "scala" | "lua" | "sql" | "m"
        | "r" | "hs" | "ex" | "erl" | "zig" | "diff" | "patch" => CODE,
        "eml" | "mbox" | "msg" | "sms" => text(Domain::Social),
        "prompt" => text(Domain::Prompt),
        "log" => text(Domain::General),
        _ => return None,
    })
}

/// Tells a command from source code by the look of its first screenful.
fn shell_or_code(body: &str) -> Route {
    let head = crate::item::cut(body, LOOK_BYTES_MAX);
    if let Some(first) = head.lines().next().filter(|line| line.starts_with("#!")) {
        let shell = ["sh", "bash", "zsh", "dash", "ksh", "fish"];
        let program = first.split(['/', ' ']).next_back().unwrap_or("");
        return if shell.contains(&program) { SHELL } else { CODE };
    }
    if code_signs(head) > shell_signs(head) { CODE } else { SHELL }
}

/// Whether what follows the first line reads as a script: anybody can put `#!` in front of a letter.
fn is_script(body: &str) -> bool {
    const SIGNS_MIN: f32 = 0.5;
    let (_, rest) = crate::item::cut(body, LOOK_BYTES_MAX).split_once('\n').unwrap_or_default();
    shell_signs(rest) - SHELL_LEAN > SIGNS_MIN || code_signs(rest) > SIGNS_MIN
}

/// What is neither one nor the other is rather a command.
const SHELL_LEAN: f32 = 0.6;

fn code_signs(head: &str) -> f32 {
    const WORDS: [&str; 26] = [
        "def ",
        "class ",
        "function ",
        "#include",
        "import ",
        "public ",
        "static ",
        "void ",
        "int ",
        "char ",
        "struct ",
        "return ",
        "const ",
        "let ",
        "var ",
        "fn ",
        "func ",
        "package ",
        "namespace ",
        "template",
        "= new ",
        "self.",
        "this.",
        "NULL",
        "bool ",
        "unsigned ",
    ];
    let mut signs = 0.0;
    let mut lines = 0.0_f32;
    for line in head.lines().map(str::trim).filter(|line| !line.is_empty()) {
        lines += 1.0;
        let starts = WORDS.iter().any(|word| line.starts_with(word));
        let ends =
            line.ends_with(';') || line.ends_with('{') || line.ends_with("):") || line == "}";
        let called = line.contains('(')
            && line.contains(')')
            && !line.contains("$(")
            && !line.contains(" -");
        signs += f32::from(u8::from(starts || is_call(line))) * 1.5
            + f32::from(u8::from(ends))
            + f32::from(u8::from(called)) * 0.5;
        signs += f32::from(u8::from(
            line.contains("->")
                || line.contains("::")
                || line.contains(" == ")
                || line.contains(" = "),
        )) * 0.5;
    }
    signs / lines.max(1.0).sqrt()
}

/// `name.name(`: no command is written so.
fn is_call(line: &str) -> bool {
    let name = line.split('(').next().unwrap_or_default();
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    starts && name.len() < line.len() && name.chars().all(word)
}

fn shell_signs(head: &str) -> f32 {
    let mut signs = SHELL_LEAN;
    let mut lines = 0.0_f32;
    for line in head.lines().map(str::trim).filter(|line| !line.is_empty()) {
        lines += 1.0;
        let first = line.split_ascii_whitespace().next().unwrap_or("");
        let known = crate::shell::is_command(first);
        let flag = line.contains(" -") || line.contains(" /");
        let piped = line.contains(" | ")
            || line.contains(" && ")
            || line.contains("$(")
            || line.contains(" > ")
            || line.contains("2>");
        let power = first.contains('-') && first.starts_with(|c: char| c.is_ascii_uppercase())
            || line.starts_with('$');
        signs += f32::from(u8::from(known)) * 1.5
            + f32::from(u8::from(flag)) * 0.7
            + f32::from(u8::from(piped))
            + f32::from(u8::from(power)) * 1.5;
    }
    signs / lines.max(1.0).sqrt()
}
