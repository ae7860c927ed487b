//! Single values.

use super::{
    Check, Data, Entry, Path, PathBuf, Pos, Problem, Reader, Scope, Set, Source, check, dotted, set,
};
use crate::inventory::Escalation;

impl Reader<'_> {
    /// A text that passes its check. On the command line, numbers and the like are texts as they were typed.
    pub(super) fn text<T>(
        &mut self,
        entry: &Entry,
        prefix: &str,
        scope: Scope,
        check: Check<T>,
    ) -> Option<Set<T>> {
        let key = dotted(prefix, &entry.key);
        let text = self.literal(entry, &key)?;
        self.keep_or_report(check(&key, &text), entry, scope)
    }

    fn literal(&mut self, entry: &Entry, key: &str) -> Option<String> {
        match &entry.node.data {
            Data::Text(text) => Some(text.clone()),
            other if self.sources.is_set(entry.pos) && other.literal().is_some() => other.literal(),
            _ => {
                self.wrong_type(key, &entry.node, "a text");
                None
            }
        }
    }

    fn keep_or_report<T>(
        &mut self,
        checked: Result<T, Problem>,
        entry: &Entry,
        scope: Scope,
    ) -> Option<Set<T>> {
        match checked {
            Ok(value) => Some(set(value, entry.pos, scope)),
            Err(problem) => {
                self.wrong(entry.node.pos, problem);
                None
            }
        }
    }

    /// A path on this machine, made absolute: ssh and its children may run elsewhere.
    pub(super) fn local(
        &mut self,
        entry: &Entry,
        prefix: &str,
        scope: Scope,
    ) -> Option<Set<PathBuf>> {
        let mut path = self.template(entry, prefix, scope)?;
        if let Ok(absolute) = std::path::absolute(&path.value) {
            path.value = absolute;
        }
        Some(path)
    }

    /// A path on this machine: `~/` filled in, relative ones from the folder of their file, and otherwise as
    /// the user wrote it, so that messages show it so.
    pub(super) fn template(
        &mut self,
        entry: &Entry,
        prefix: &str,
        scope: Scope,
    ) -> Option<Set<PathBuf>> {
        let text = self.text(entry, prefix, scope, check::text)?;
        let path = self.local_path(&text.value, entry.node.pos);
        self.keep_or_report(path, entry, scope)
    }

    fn local_path(&self, text: &str, pos: Pos) -> Result<PathBuf, Problem> {
        match text.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => self
                .home
                .map(|home| home.join(rest.trim_start_matches('/')))
                .ok_or_else(|| Problem::NoHome(text.to_owned())),
            _ => Ok(self.sources.base(pos).join(Path::new(text))),
        }
    }

    pub(super) fn release_source(&mut self, entry: &Entry, scope: Scope) -> Option<Set<Source>> {
        let text = self.text(entry, "releases", scope, check::source)?;
        let base = self.sources.base(entry.pos).to_owned();
        let parts = text.value.split(',').map(str::trim);
        let parts: Result<Vec<_>, _> = parts
            .map(|part| self.home_filled(part, entry.node.pos))
            .collect();
        let text = self.keep_or_report(parts, entry, scope)?.value.join(",");
        Some(set(Source { text, base }, entry.pos, scope))
    }

    /// One part of a source; other relative paths stay as they are, because the source has its base.
    fn home_filled(&self, part: &str, pos: Pos) -> Result<String, Problem> {
        if !part.starts_with("~/") {
            return Ok(part.to_owned());
        }
        let path = self.local_path(part, pos)?;
        Ok(path.display().to_string())
    }

    pub(super) fn sha256sums(&mut self, entry: &Entry, scope: Scope) -> Option<Set<String>> {
        let text = self.text(entry, "releases", scope, check::source_or_none)?;
        if text.value.is_empty() || text.value.contains("://") {
            return Some(text);
        }
        let path = self.local_path(&text.value, entry.node.pos);
        let path = path.map(|path| path.display().to_string());
        self.keep_or_report(path, entry, scope)
    }

    pub(super) fn port(&mut self, entry: &Entry, scope: Scope) -> Option<Set<u16>> {
        let number = self.number(entry, "", scope, 1, i64::from(u16::MAX))?;
        u16::try_from(number.value)
            .ok()
            .map(|port| set(port, number.pos, scope))
    }

    pub(super) fn keep(&mut self, entry: &Entry, scope: Scope) -> Option<Set<usize>> {
        let number = self.number(entry, "backup", scope, 1, 100_000)?;
        usize::try_from(number.value)
            .ok()
            .map(|keep| set(keep, number.pos, scope))
    }

    fn number(
        &mut self,
        entry: &Entry,
        prefix: &str,
        scope: Scope,
        least: i64,
        most: i64,
    ) -> Option<Set<i64>> {
        let key = dotted(prefix, &entry.key);
        let Data::Integer(number) = entry.node.data else {
            self.wrong_type(&key, &entry.node, "a whole number");
            return None;
        };
        let checked = if (least..=most).contains(&number) {
            Ok(number)
        } else {
            Err(Problem::OutOfBounds {
                key,
                number,
                least,
                most,
            })
        };
        self.keep_or_report(checked, entry, scope)
    }

    pub(super) fn flag(&mut self, entry: &Entry, prefix: &str, scope: Scope) -> Option<Set<bool>> {
        let Data::Bool(flag) = entry.node.data else {
            self.wrong_type(
                &dotted(prefix, &entry.key),
                &entry.node,
                "`true` or `false`",
            );
            return None;
        };
        Some(set(flag, entry.pos, scope))
    }

    /// A list of jump hosts; on the command line also as ssh has it, separated by commas.
    pub(super) fn jump(&mut self, entry: &Entry, scope: Scope) -> Option<Set<Vec<String>>> {
        let texts: Vec<(Pos, String)> = match &entry.node.data {
            Data::List(items) => items.iter().filter_map(|item| self.item(item)).collect(),
            Data::Text(text) if self.sources.is_set(entry.pos) => text
                .split(',')
                .map(|one| (entry.pos, one.trim().to_owned()))
                .collect(),
            _ => {
                self.wrong_type("jump", &entry.node, "an array of texts");
                return None;
            }
        };
        let mut hosts = Vec::with_capacity(texts.len());
        for (pos, text) in texts {
            match check::jump("jump", &text) {
                Ok(host) => hosts.push(host),
                Err(problem) => self.wrong(pos, problem),
            }
        }
        Some(set(hosts, entry.pos, scope))
    }

    fn item(&mut self, node: &super::Node) -> Option<(Pos, String)> {
        if let Data::Text(text) = &node.data {
            return Some((node.pos, text.clone()));
        }
        self.wrong_type("jump", node, "a text in each item");
        None
    }

    pub(super) fn escalation(&mut self, entry: &Entry, scope: Scope) -> Option<Set<Escalation>> {
        let checked = match &entry.node.data {
            Data::Bool(false) => Ok(Escalation::None),
            Data::Bool(true) => Err(Problem::NotAChoice {
                key: "become",
                text: "true".to_owned(),
                choices: "`false`, `\"sudo\"` or `\"doas\"`",
                fix: Some("say by which: `become = \"sudo\"`".to_owned()),
            }),
            Data::Text(text) => check::escalation(text),
            _ => {
                self.wrong_type("become", &entry.node, "`false`, `\"sudo\"` or `\"doas\"`");
                return None;
            }
        };
        self.keep_or_report(checked, entry, scope)
    }
}
