//! Binary data of Avro as the text of JSON (<https://avro.apache.org/docs/1.12.0/specification/#binary-encoding>).

use super::avro_schema::{AvroSchema, AvroType, TypeId};

/// Values in values: what readers of JSON take as well.
const MAX_DEPTH: usize = 128;

/// Why data is not what its schema says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AvroError {
    #[error("it ends in the middle of a value of type {0}")]
    Truncated(&'static str),
    #[error("{0} bytes follow the value that the schema describes")]
    Trailing(usize),
    #[error("a number at byte {0} is longer than its type")]
    Number(usize),
    #[error("a length at byte {0} is negative, or longer than the data")]
    Length(usize),
    #[error("the boolean at byte {0} is neither 0 nor 1")]
    Boolean(usize),
    #[error("the text at byte {0} is not UTF-8")]
    Utf8(usize),
    #[error("{index} is none of the {known} {what}")]
    Index { what: &'static str, index: i64, known: usize },
    #[error("it is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("its JSON is longer than {0} bytes")]
    TooLarge(usize),
}

/// The value in `data` as JSON of at most `limit` bytes.
///
/// # Errors
/// [`AvroError`] if the data is not one value of the schema.
pub(super) fn to_json(schema: &AvroSchema, data: &[u8], limit: usize) -> Result<Vec<u8>, AvroError> {
    let mut reader = Reader { schema, data, at: 0, out: Vec::with_capacity(data.len() * 2), limit };
    // Confluent's serialisers write a value whose whole schema is `bytes` as it is, without its length.
    if *schema.type_at(schema.root()) == AvroType::Bytes {
        reader.write_latin1(data)?;
        return Ok(reader.out);
    }
    reader.value(schema.root(), 0)?;
    match data.len() - reader.at {
        0 => Ok(reader.out),
        left => Err(AvroError::Trailing(left)),
    }
}

struct Reader<'a> {
    schema: &'a AvroSchema,
    data: &'a [u8],
    at: usize,
    out: Vec<u8>,
    limit: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, id: TypeId, depth: usize) -> Result<(), AvroError> {
        if depth > MAX_DEPTH {
            return Err(AvroError::TooDeep);
        }
        let schema = self.schema;
        match schema.type_at(id) {
            AvroType::Null => self.write("null"),
            AvroType::Boolean => {
                let text = match self.take(1, "boolean")? {
                    [0] => "false",
                    [1] => "true",
                    _ => return Err(AvroError::Boolean(self.at - 1)),
                };
                self.write(text)
            }
            AvroType::Int => {
                let at = self.at;
                let number = i32::try_from(self.long("int")?).map_err(|_| AvroError::Number(at))?;
                self.write(&number.to_string())
            }
            AvroType::Long => {
                let number = self.long("long")?;
                self.write(&number.to_string())
            }
            AvroType::Float => {
                let bytes = self.array::<4>("float")?;
                let number = f32::from_le_bytes(bytes);
                self.write_number(f64::from(number), serde_json::to_string(&number))
            }
            AvroType::Double => {
                let number = f64::from_le_bytes(self.array::<8>("double")?);
                self.write_number(number, serde_json::to_string(&number))
            }
            AvroType::Bytes => {
                let bytes = self.counted("bytes")?;
                self.write_latin1(bytes)
            }
            AvroType::Fixed(size) => {
                let bytes = self.take(*size, "fixed")?;
                self.write_latin1(bytes)
            }
            AvroType::String => self.string(),
            AvroType::Enum(symbols) => {
                let symbol = self.choice("symbols of the enum", symbols)?;
                self.write_text(symbol)
            }
            AvroType::Union(branches) => {
                let branch = *self.choice("branches of the union", branches)?;
                // A branch is no level of its own in the JSON, and never a union.
                self.value(branch, depth)
            }
            AvroType::Record(fields) => self.record(fields, depth),
            AvroType::Array(items) => self.blocks(b"[]", "array", |reader| reader.value(*items, depth + 1)),
            AvroType::Map(values) => self.blocks(b"{}", "map", |reader| {
                reader.string()?;
                reader.write(":")?;
                reader.value(*values, depth + 1)
            }),
        }
    }

    fn record(&mut self, fields: &[(String, TypeId)], depth: usize) -> Result<(), AvroError> {
        for (number, (name, field)) in fields.iter().enumerate() {
            self.write(if number == 0 { "{" } else { "," })?;
            self.write_text(name)?;
            self.write(":")?;
            self.value(*field, depth + 1)?;
        }
        self.write(if fields.is_empty() { "{}" } else { "}" })
    }

    /// Blocks of items until an empty one. Each item adds to the text, so data that claims endless items of no bytes ends at the
    /// text's limit.
    fn blocks(
        &mut self,
        [open, close]: &[u8; 2],
        what: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<(), AvroError>,
    ) -> Result<(), AvroError> {
        self.out.push(*open);
        let mut first = true;
        loop {
            let mut count = self.long(what)?;
            if count == 0 {
                break;
            }
            if count < 0 {
                // The block's length in bytes, for those who skip it.
                self.long(what)?;
                count = count.checked_neg().ok_or(AvroError::Length(self.at))?;
            }
            for _ in 0..count {
                if !std::mem::take(&mut first) {
                    self.write(",")?;
                }
                item(self)?;
            }
        }
        self.out.push(*close);
        Ok(())
    }

    fn string(&mut self) -> Result<(), AvroError> {
        let bytes = self.counted("string")?;
        let start = self.at - bytes.len();
        self.write_text(std::str::from_utf8(bytes).map_err(|_| AvroError::Utf8(start))?)
    }

    fn choice<T>(&mut self, what: &'static str, choices: &'a [T]) -> Result<&'a T, AvroError> {
        let index = self.long("index")?;
        let chosen = usize::try_from(index).ok().and_then(|index| choices.get(index));
        chosen.ok_or(AvroError::Index { what, index, known: choices.len() })
    }

    /// A number in zigzag and variable length, of at most ten bytes.
    fn long(&mut self, what: &'static str) -> Result<i64, AvroError> {
        let start = self.at;
        let mut bits = 0_u64;
        for shift in (0..70).step_by(7) {
            let [byte] = self.array::<1>(what)?;
            if shift == 63 && byte > 1 {
                break;
            }
            bits |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                let magnitude = i64::try_from(bits >> 1).map_err(|_| AvroError::Number(start))?;
                return Ok(if bits & 1 == 0 { magnitude } else { !magnitude });
            }
        }
        Err(AvroError::Number(start))
    }

    fn counted(&mut self, what: &'static str) -> Result<&'a [u8], AvroError> {
        let start = self.at;
        let length = usize::try_from(self.long(what)?).map_err(|_| AvroError::Length(start))?;
        self.take(length, what)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], AvroError> {
        let bytes = self.take(N, what)?;
        bytes.try_into().map_err(|_| AvroError::Truncated(what))
    }

    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], AvroError> {
        let end = self.at.checked_add(length).ok_or(AvroError::Length(self.at))?;
        let taken = self.data.get(self.at..end).ok_or(AvroError::Truncated(what))?;
        self.at = end;
        Ok(taken)
    }

    /// Numbers that JSON does not have are the texts that Avro's own JSON has for them.
    fn write_number(&mut self, number: f64, text: serde_json::Result<String>) -> Result<(), AvroError> {
        if number.is_finite() {
            return self.write(&text.unwrap_or_default());
        }
        self.write(match number {
            number if number.is_nan() => "\"NaN\"",
            number if number > 0.0 => "\"Infinity\"",
            _ => "\"-Infinity\"",
        })
    }

    /// Bytes as the code points 0 to 255.
    fn write_latin1(&mut self, bytes: &[u8]) -> Result<(), AvroError> {
        let text: String = bytes.iter().copied().map(char::from).collect();
        self.write_text(&text)
    }

    fn write_text(&mut self, text: &str) -> Result<(), AvroError> {
        let quoted = serde_json::to_string(text).unwrap_or_default();
        self.write(&quoted)
    }

    fn write(&mut self, text: &str) -> Result<(), AvroError> {
        if self.out.len() + text.len() > self.limit {
            return Err(AvroError::TooLarge(self.limit));
        }
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
