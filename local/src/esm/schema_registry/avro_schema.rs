//! Schemas of Avro as a registry holds them (<https://avro.apache.org/docs/1.12.0/specification/>).
//!
//! By hand, with [`super::avro_reader`]: the crate `apache-avro` (0.22) takes data that ends too early for nulls, loses the order
//! of maps, and follows data into any depth until the stack ends; and its tree of values would only be thrown away again.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// A type, by its place in the schema: types may contain themselves.
pub(super) type TypeId = usize;

/// A type of Avro. Logical types are the types that they are made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum AvroType {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    /// Of this many bytes.
    Fixed(usize),
    Enum(Vec<String>),
    Array(TypeId),
    Map(TypeId),
    Union(Vec<TypeId>),
    /// Names of fields with their types.
    Record(Vec<(String, TypeId)>),
}

/// A schema with all types that it has.
#[derive(Debug, Default)]
pub(super) struct AvroSchema {
    types: Vec<AvroType>,
    /// Named types by their full names.
    names: HashMap<String, TypeId>,
    root: TypeId,
}

/// Why a text is no schema of Avro.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AvroSchemaError {
    #[error("it is not JSON: {0}")]
    Json(String),
    #[error("`{0}` is neither a type nor the name of one")]
    UnknownName(String),
    #[error("`{0}` is defined twice")]
    TwiceDefined(String),
    #[error("a type of kind `{kind}` has no valid `{member}`")]
    Member { kind: String, member: &'static str },
    #[error("it has a type that is neither a name, nor a list, nor an object with `type`")]
    Form,
    #[error("a union is directly in a union")]
    NestedUnion,
}

impl AvroSchema {
    /// Reads a schema. `referenced` are those whose types it may name, each after those that it names itself.
    ///
    /// # Errors
    /// [`AvroSchemaError`] for the first thing that is wrong.
    pub(super) fn parse<'a>(
        referenced: impl IntoIterator<Item = &'a str>,
        text: &str,
    ) -> Result<Self, AvroSchemaError> {
        let mut schema = Self::default();
        for text in referenced {
            schema.read_text(text)?;
        }
        schema.root = schema.read_text(text)?;
        Ok(schema)
    }

    pub(super) fn root(&self) -> TypeId {
        self.root
    }

    /// The type at a place; every place that a type names has one.
    pub(super) fn type_at(&self, id: TypeId) -> &AvroType {
        self.types.get(id).unwrap_or(&AvroType::Null)
    }

    fn read_text(&mut self, text: &str) -> Result<TypeId, AvroSchemaError> {
        // It stops at 128 levels, so reading what it makes needs no bound of its own.
        let json: Value = serde_json::from_str(text).map_err(|error| AvroSchemaError::Json(error.to_string()))?;
        self.read(&json, "")
    }

    fn read(&mut self, json: &Value, namespace: &str) -> Result<TypeId, AvroSchemaError> {
        match json {
            Value::String(name) => self.named(name, namespace),
            Value::Array(branches) => {
                if branches.iter().any(Value::is_array) {
                    return Err(AvroSchemaError::NestedUnion);
                }
                let branches = branches.iter().map(|branch| self.read(branch, namespace)).collect::<Result<_, _>>()?;
                Ok(self.add(AvroType::Union(branches)))
            }
            Value::Object(members) => match members.get("type") {
                Some(Value::String(kind)) => self.read_object(kind, members, namespace),
                // `{"type": {"type": "string"}}`, which some tools write.
                Some(inner @ (Value::Object(_) | Value::Array(_))) => self.read(inner, namespace),
                _ => Err(AvroSchemaError::Form),
            },
            _ => Err(AvroSchemaError::Form),
        }
    }

    fn read_object(
        &mut self,
        kind: &str,
        members: &Map<String, Value>,
        namespace: &str,
    ) -> Result<TypeId, AvroSchemaError> {
        let wrong = |member| AvroSchemaError::Member { kind: kind.to_owned(), member };
        match kind {
            "array" | "map" => {
                let member = if kind == "array" { "items" } else { "values" };
                let inner = self.read(members.get(member).ok_or(wrong(member))?, namespace)?;
                Ok(self.add(if kind == "array" { AvroType::Array(inner) } else { AvroType::Map(inner) }))
            }
            "fixed" => {
                let size = members.get("size").and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
                self.define(kind, members, namespace, AvroType::Fixed(size.ok_or(wrong("size"))?)).map(|(id, _)| id)
            }
            "enum" => {
                let symbols = members.get("symbols").and_then(Value::as_array).into_iter().flatten();
                let symbols: Option<Vec<_>> = symbols.map(|symbol| symbol.as_str().map(str::to_owned)).collect();
                let symbols = symbols.filter(|symbols| !symbols.is_empty()).ok_or(wrong("symbols"))?;
                self.define(kind, members, namespace, AvroType::Enum(symbols)).map(|(id, _)| id)
            }
            "record" | "error" => {
                // Defined before its fields are read, for they may name it.
                let (id, namespace) = self.define(kind, members, namespace, AvroType::Null)?;
                let fields = members.get("fields").and_then(Value::as_array).ok_or(wrong("fields"))?;
                let mut read = Vec::with_capacity(fields.len());
                for field in fields {
                    let name = field["name"].as_str().ok_or(wrong("fields"))?;
                    read.push((name.to_owned(), self.read(field.get("type").ok_or(wrong("fields"))?, &namespace)?));
                }
                self.types[id] = AvroType::Record(read);
                Ok(id)
            }
            name => self.named(name, namespace),
        }
    }

    /// A primitive type, or a named one: in the namespace around, otherwise in none.
    fn named(&mut self, name: &str, namespace: &str) -> Result<TypeId, AvroSchemaError> {
        let primitive = match name {
            "null" => AvroType::Null,
            "boolean" => AvroType::Boolean,
            "int" => AvroType::Int,
            "long" => AvroType::Long,
            "float" => AvroType::Float,
            "double" => AvroType::Double,
            "bytes" => AvroType::Bytes,
            "string" => AvroType::String,
            _ => {
                let found = self.names.get(&full_name(name, namespace)).or_else(|| self.names.get(name));
                return found.copied().ok_or_else(|| AvroSchemaError::UnknownName(name.to_owned()));
            }
        };
        Ok(self.add(primitive))
    }

    /// Gives a type its name; the result has the namespace of what is in it.
    fn define(
        &mut self,
        kind: &str,
        members: &Map<String, Value>,
        namespace: &str,
        defined: AvroType,
    ) -> Result<(TypeId, String), AvroSchemaError> {
        let text = |member: &str| members.get(member).and_then(Value::as_str);
        let name = text("name").filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| AvroSchemaError::Member { kind: kind.to_owned(), member: "name" })?;
        let full = full_name(name, text("namespace").unwrap_or(namespace));
        let inner = full.rsplit_once('.').map_or(String::new(), |(namespace, _)| namespace.to_owned());
        let id = self.add(defined);
        match self.names.insert(full.clone(), id) {
            None => Ok((id, inner)),
            Some(_) => Err(AvroSchemaError::TwiceDefined(full)),
        }
    }

    fn add(&mut self, added: AvroType) -> TypeId {
        self.types.push(added);
        self.types.len() - 1
    }
}

/// A name with a dot is full; another one is in the namespace.
fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AvroSchema, AvroSchemaError> {
        AvroSchema::parse([], text)
    }

    #[test]
    fn names_are_found_in_the_namespace_around_or_in_none() {
        let text = r#"{"type": "record", "name": "a.b.Order", "fields": [
            {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
            {"name": "same", "type": "Kind"},
            {"name": "full", "type": "a.b.Kind"},
            {"name": "next", "type": ["null", "Order"]},
            {"name": "other", "type": {"type": "fixed", "name": "Id", "namespace": "c", "size": 4}},
            {"name": "id", "type": "c.Id"},
            {"name": "wrapped", "type": {"type": {"type": "string", "avro.java.string": "String"}}}]}"#;
        let schema = parse(text).unwrap();
        let AvroType::Record(fields) = schema.type_at(schema.root()) else { panic!() };
        let types: Vec<_> = fields.iter().map(|(_, id)| schema.type_at(*id)).collect();
        let kind = AvroType::Enum(vec!["A".to_owned(), "B".to_owned()]);
        assert_eq!(types[..3], [&kind, &kind, &kind]);
        let AvroType::Union(branches) = types[3] else { panic!() };
        assert_eq!(branches[1], schema.root(), "a record may contain itself");
        assert_eq!(types[4..], [&AvroType::Fixed(4), &AvroType::Fixed(4), &AvroType::String]);
    }

    #[test]
    fn a_schema_may_name_the_types_of_those_it_refers_to() {
        let customer =
            r#"{"type": "record", "name": "Customer", "namespace": "s", "fields": [{"name": "id", "type": "long"}]}"#;
        for text in [r#""s.Customer""#, r#"["null", "s.Customer"]"#, r#"{"type": "array", "items": "s.Customer"}"#] {
            assert!(AvroSchema::parse([customer], text).is_ok(), "{text}");
            assert_eq!(parse(text).unwrap_err(), AvroSchemaError::UnknownName("s.Customer".to_owned()));
        }
    }

    #[test]
    fn what_is_no_schema_says_why() {
        let cases = [
            ("string", "not JSON"),
            ("7", "neither a name"),
            ("{}", "neither a name"),
            (r#""strnig""#, "`strnig`"),
            (r#"[["null"]]"#, "a union is directly in a union"),
            (r#"{"type": "array"}"#, "`array` has no valid `items`"),
            (r#"{"type": "map", "values": 1}"#, "neither a name"),
            (r#"{"type": "fixed", "name": "F", "size": -1}"#, "`size`"),
            (r#"{"type": "enum", "name": "E", "symbols": []}"#, "`symbols`"),
            (r#"{"type": "enum", "name": "", "symbols": ["A"]}"#, "`name`"),
            (r#"{"type": "record", "name": "R"}"#, "`fields`"),
            (r#"{"type": "record", "name": "R", "fields": [{"name": "a"}]}"#, "`fields`"),
            (r#"[{"type": "fixed", "name": "F", "size": 1}, {"type": "fixed", "name": "F", "size": 1}]"#, "twice"),
        ];
        for (text, told) in cases {
            let problem = parse(text).unwrap_err().to_string();
            assert!(problem.contains(told), "{text}: {problem}");
        }
        let deep = format!("{}{}{}", r#"{"type": "array", "items": "#.repeat(5_000), r#""null""#, "}".repeat(5_000));
        assert!(matches!(parse(&deep), Err(AvroSchemaError::Json(_))));
    }
}
