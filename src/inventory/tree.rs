//! TOML as a tree in which every key and value knows its position.

use serde_json::Value as Json;
use toml::de::{DeInteger, DeTable, DeValue, Error};

use super::error::Problem;
use super::source::Pos;

/// A table, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table(pub Vec<Entry>);

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub pos: Pos,
    /// The value.
    pub node: Node,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it starts.
    pub pos: Pos,
    /// What it is.
    pub data: Data,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction, and how it was written.
    Float(f64, String),
    /// True or false.
    Bool(bool),
    /// A date or time, as it was written.
    Time(String),
    /// An array.
    List(Vec<Node>),
    /// A table.
    Table(Table),
}

impl Data {
    /// The kind of value, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Float(..) => "a number with a fraction",
            Self::Bool(_) => "true or false",
            Self::Time(_) => "a date or time",
            Self::List(_) => "an array",
            Self::Table(_) => "a table",
        }
    }

    /// The value as it was written, if it is neither an array nor a table.
    pub fn literal(&self) -> Option<String> {
        match self {
            Self::Text(text) | Self::Float(_, text) | Self::Time(text) => Some(text.clone()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Bool(flag) => Some(flag.to_string()),
            Self::List(_) | Self::Table(_) => None,
        }
    }

    /// The value as JSON, for templates; a number that JSON cannot hold is `None`.
    pub fn to_json(&self) -> Option<Json> {
        Some(match self {
            Self::Text(text) | Self::Time(text) => Json::from(text.clone()),
            Self::Integer(number) => Json::from(*number),
            Self::Float(number, _) => Json::Number(serde_json::Number::from_f64(*number)?),
            Self::Bool(flag) => Json::from(*flag),
            Self::List(items) => Json::Array(
                items
                    .iter()
                    .map(|item| item.data.to_json())
                    .collect::<Option<_>>()?,
            ),
            Self::Table(table) => Json::Object(
                table
                    .0
                    .iter()
                    .map(|entry| Some((entry.key.clone(), entry.node.data.to_json()?)))
                    .collect::<Option<_>>()?,
            ),
        })
    }
}

/// Reads a whole document.
///
/// # Errors
/// Every syntax error of the text, with its position.
pub fn document(source: u32, text: &str) -> Result<Table, Vec<(Pos, Problem)>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        table_of(source, table.get_ref()).map_err(|wrong| vec![wrong])
    } else {
        Err(errors.iter().map(|e| syntax(source, text, e)).collect())
    }
}

/// Reads one value.
///
/// # Errors
/// The first syntax error.
pub fn value(source: u32, text: &str) -> Result<Data, (Pos, Problem)> {
    let value = DeValue::parse(text).map_err(|e| syntax(source, text, &e))?;
    data_of(source, Pos { source, offset: 0 }, value.get_ref())
}

fn syntax(source: u32, text: &str, error: &Error) -> (Pos, Problem) {
    let at = error.span().map_or(text.len(), |span| span.start);
    let said = error.message().trim().replace('\n', ", ");
    (pos(source, at), Problem::Syntax(said))
}

fn pos(source: u32, offset: usize) -> Pos {
    let offset = u32::try_from(offset).unwrap_or(u32::MAX);
    Pos { source, offset }
}

fn table_of(source: u32, table: &DeTable<'_>) -> Result<Table, (Pos, Problem)> {
    table
        .iter()
        .map(|(key, value)| {
            let at = pos(source, value.span().start);
            Ok(Entry {
                key: key.get_ref().to_string(),
                pos: pos(source, key.span().start),
                node: Node {
                    pos: at,
                    data: data_of(source, at, value.get_ref())?,
                },
            })
        })
        .collect::<Result<_, _>>()
        .map(Table)
}

fn data_of(source: u32, at: Pos, value: &DeValue<'_>) -> Result<Data, (Pos, Problem)> {
    Ok(match value {
        DeValue::String(text) => Data::Text(text.to_string()),
        DeValue::Integer(number) => {
            Data::Integer(integer(number).ok_or((at, Problem::HugeNumber))?)
        }
        DeValue::Float(number) => {
            let text = number.as_str().to_owned();
            Data::Float(text.parse().map_err(|_| (at, Problem::HugeNumber))?, text)
        }
        DeValue::Boolean(flag) => Data::Bool(*flag),
        DeValue::Datetime(time) => Data::Time(time.to_string()),
        DeValue::Table(table) => Data::Table(table_of(source, table)?),
        DeValue::Array(items) => Data::List(
            items
                .iter()
                .map(|item| {
                    let pos = pos(source, item.span().start);
                    let data = data_of(source, pos, item.get_ref())?;
                    Ok(Node { pos, data })
                })
                .collect::<Result<_, _>>()?,
        ),
    })
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_know_where_they_stand() {
        let table = document(7, "[a.b]\nc = [1, 0x_ff]\n").unwrap_err();
        assert_eq!(table.len(), 1, "0x_ff is not TOML: {table:?}");
        let table = document(7, "[a.b]\nc = [1_0, 0xff]\n").unwrap();
        assert_eq!(table.0[0].pos.offset, 1);
        let Data::Table(a) = &table.0[0].node.data else {
            panic!()
        };
        let Data::Table(b) = &a.0[0].node.data else {
            panic!()
        };
        assert_eq!(
            b.0[0].pos,
            Pos {
                source: 7,
                offset: 6
            }
        );
        let Data::List(items) = &b.0[0].node.data else {
            panic!()
        };
        assert_eq!(items[0].data, Data::Integer(10));
        assert_eq!(items[1].data, Data::Integer(255));
        assert_eq!(items[1].pos.offset, 16);
    }

    #[test]
    fn every_syntax_error_is_reported_not_only_the_first() {
        let errors = document(0, "a = \n[b]\nc = 1\nc = 2\n").unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
    }

    #[test]
    fn a_number_that_does_not_fit_is_a_problem_with_a_position() {
        let errors = document(0, "a = 99999999999999999999\n").unwrap_err();
        assert_eq!(errors[0].0.offset, 4);
    }
}
