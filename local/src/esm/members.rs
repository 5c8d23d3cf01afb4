//! Reads a JSON object member by member, so that every wrong type and every unknown name is told, not only the first.

use serde_json::{Map, Value};

use super::setting_flags::setting;

/// What is wrong with a document before any of AWS's rules is asked.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Members with a value of another type.
    pub wrong_types: Vec<String>,
    /// Members that are not known.
    pub unknown: Vec<String>,
}

/// The members of one object that are not read yet.
pub(super) struct Members<'a> {
    /// The names of the objects around it, each with a dot.
    path: &'static str,
    left: Map<String, Value>,
    known: Vec<&'static str>,
    faults: &'a mut Faults,
}

/// What a member may hold.
pub(super) trait FromMember: Sized {
    /// The type in words.
    const WANTED: &'static str;

    /// The value, unless it is of another type.
    fn from_member(value: &Value) -> Option<Self>;
}

impl<'a> Members<'a> {
    pub(super) fn new(path: &'static str, object: Map<String, Value>, faults: &'a mut Faults) -> Self {
        Self { path, left: object, known: Vec::new(), faults }
    }

    /// The member's value; `None` if it is missing, null or of another type, which is then told.
    pub(super) fn take<T: FromMember>(&mut self, name: &'static str) -> Option<T> {
        let value = self.any(name)?;
        let read = T::from_member(&value);
        if read.is_none() {
            let member = setting(&format!("{}{name}", self.path));
            // The value itself is not shown: it may be a password.
            self.faults.wrong_types.push(format!("{member}: must be {}, not {}", T::WANTED, type_of(&value)));
        }
        read
    }

    /// The member's value, whatever it is; `None` if it is missing or null.
    pub(super) fn any(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.left.remove(name).filter(|value| !value.is_null())
    }

    /// The members of the object that a member holds, called `path` in problems; of an empty one if it holds none.
    pub(super) fn object(&mut self, name: &'static str, path: &'static str) -> Option<Members<'_>> {
        let object: Map<String, Value> = self.take(name)?;
        Some(Members::new(path, object, self.faults))
    }

    /// Tells the members that nobody asked for.
    pub(super) fn end(self) {
        for name in self.left.keys() {
            let meant = self.known.iter().find(|known| alike(known, name));
            let hint = meant.map_or_else(
                || "is not a member of CreateEventSourceMapping; remove it".to_owned(),
                |meant| format!("is not a member of CreateEventSourceMapping; did you mean {}{meant}?", self.path),
            );
            self.faults.unknown.push(format!("{}{name}: {hint}", self.path));
        }
    }
}

/// Whether a name is another one in Terraform's spelling, in another case, or with a slip at its end.
fn alike(known: &str, name: &str) -> bool {
    let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let (known, name) = (plain(known), plain(name));
    let slip = known.len().abs_diff(name.len()) <= 2;
    known == name || slip && name.len() > 2 && (known.starts_with(&name) || name.starts_with(&known))
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl FromMember for String {
    const WANTED: &'static str = "text";

    fn from_member(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl FromMember for i64 {
    const WANTED: &'static str = "a whole number";

    fn from_member(value: &Value) -> Option<Self> {
        // CloudFormation and AWS's shorthand write numbers as text.
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    }
}

impl FromMember for f64 {
    const WANTED: &'static str = "a number";

    fn from_member(value: &Value) -> Option<Self> {
        value.as_f64().or_else(|| value.as_str()?.parse().ok())
    }
}

impl FromMember for bool {
    const WANTED: &'static str = "true or false";

    fn from_member(value: &Value) -> Option<Self> {
        value.as_bool().or_else(|| value.as_str()?.parse().ok())
    }
}

impl FromMember for Vec<String> {
    const WANTED: &'static str = "a list of texts";

    fn from_member(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(|item| Some(item.as_str()?.to_owned())).collect()
    }
}

impl FromMember for Vec<Value> {
    const WANTED: &'static str = "a list";

    fn from_member(value: &Value) -> Option<Self> {
        value.as_array().cloned()
    }
}

impl FromMember for Map<String, Value> {
    const WANTED: &'static str = "an object";

    fn from_member(value: &Value) -> Option<Self> {
        value.as_object().cloned()
    }
}
