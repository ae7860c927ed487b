//! `-e KEY=VALUE`: the highest layer.

use std::path::{Path, PathBuf};

use super::error::Problem;
use super::source::{Kind, Pos, Sources};
use super::tree::{self, Data, Entry, Node, Table};

/// A setting in the form of `-e` from a text that is to be taken as it is, such as a flag's value.
pub fn set(key: &str, text: &str) -> String {
    format!("{key}={}", toml::Value::String(text.to_owned()))
}

/// Reads one `-e`; relative paths in it start from `base`.
///
/// # Errors
/// When it is not `KEY=VALUE` with a dotted key.
pub fn read(set: &str, base: PathBuf, sources: &mut Sources) -> Result<Table, (Pos, Problem)> {
    let (key, value) = set.split_once('=').unwrap_or((set, ""));
    let key = key.trim();
    let source = sources.add(Kind::Set, Path::new(key), base, value.to_owned());
    let pos = Pos { source, offset: 0 };
    let parts = dotted(key).filter(|_| set.contains('='));
    let parts = parts.ok_or_else(|| (pos, Problem::NotASetting(shown(set, key))))?;
    let data = data(source, value)?;
    Ok(table(&parts, pos, data))
}

/// What is shown of a set that is none: all of it only where no value can be in it.
fn shown(set: &str, key: &str) -> String {
    if set.contains('=') {
        format!("{}=…", key.escape_debug())
    } else {
        key.escape_debug().to_string()
    }
}

/// The parts of a dotted key, `None` if it is none.
fn dotted(key: &str) -> Option<Vec<String>> {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    key.split('.')
        .map(str::trim)
        .map(|part| (!part.is_empty() && part.chars().all(bare)).then(|| part.to_owned()))
        .collect()
}

/// A TOML value; what is none is a text. A text that begins like a quoted one, an array or a table was meant
/// to be one, so there it is an error.
fn data(source: u32, value: &str) -> Result<Data, (Pos, Problem)> {
    let bare = value.trim();
    match tree::value(source, bare) {
        Ok(data) => Ok(data),
        Err(wrong) if bare.starts_with(['"', '\'', '[', '{']) => Err(wrong),
        Err(_) => Ok(Data::Text(bare.to_owned())),
    }
}

fn table(parts: &[String], pos: Pos, data: Data) -> Table {
    let data = match &parts[1..] {
        [] => data,
        inner => Data::Table(table(inner, pos, data)),
    };
    Table(vec![Entry {
        key: parts[0].clone(),
        pos,
        node: Node { pos, data },
    }])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(set: &str) -> Result<Table, String> {
        let mut sources = Sources::default();
        read(set, PathBuf::new(), &mut sources).map_err(|(_, problem)| problem.to_string())
    }

    fn leaf(set: &str) -> Data {
        let mut data = Data::Table(one(set).unwrap());
        while let Data::Table(table) = &data {
            let Some(entry) = table.0.first() else { break };
            data = entry.node.data.clone();
        }
        data
    }

    #[test]
    fn values_are_toml_and_bare_words_are_texts() {
        assert_eq!(leaf("version=3.5.30"), Data::Text("3.5.30".into()));
        assert_eq!(leaf("backup.keep=3"), Data::Integer(3));
        assert_eq!(leaf("vars.on=true"), Data::Bool(true));
        assert_eq!(leaf("vars.a=\"x y\""), Data::Text("x y".into()));
        assert_eq!(leaf("vars.a= x y "), Data::Text("x y".into()));
        assert_eq!(leaf("vars.a=x=y"), Data::Text("x=y".into()));
        assert_eq!(leaf("tls.cacert=/x"), Data::Text("/x".into()));
        assert_eq!(leaf("vars.a="), Data::Text(String::new()));
    }

    #[test]
    fn a_set_without_a_value_or_with_an_odd_key_is_refused() {
        for bad in ["version", "=3", "a..b=1", ".a=1", "a b=1", "a\nb=1", ""] {
            assert!(
                one(bad).unwrap_err().contains("is not `KEY=VALUE`"),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_broken_array_is_an_error_and_not_a_text() {
        assert!(one("jump=[\"a\"").unwrap_err().contains("not valid TOML"));
    }

    proptest! {
        #[test]
        fn every_text_given_by_a_flag_comes_back_as_it_was(text in any::<String>()) {
            prop_assert_eq!(leaf(&set("vars.a", &text)), Data::Text(text));
        }

        #[test]
        fn a_value_never_becomes_a_second_key(value in "[a-z =\\n\"']{0,16}") {
            if let Ok(table) = one(&format!("vars.a={value}")) {
                prop_assert_eq!(table.0.len(), 1);
                prop_assert_eq!(table.0[0].key.as_str(), "vars");
            }
        }
    }
}
