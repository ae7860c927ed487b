//! The files that templates are rendered to.

use super::{Data, Entry, FileSetting, Here, Node, Problem, Reader, Set, check, set};

impl Reader<'_> {
    pub(super) fn files(&mut self, entry: &Entry, here: Here<'_>) -> Option<Set<Vec<FileSetting>>> {
        let Data::List(items) = &entry.node.data else {
            self.wrong_type("files", &entry.node, "an array of tables");
            return None;
        };
        let files: Vec<_> = items
            .iter()
            .filter_map(|item| self.file_setting(item, here))
            .collect();
        for (at, file) in files.iter().enumerate() {
            if files[..at].iter().any(|earlier| earlier.dest == file.dest) {
                let problem = Problem::DestinationTaken {
                    dest: file.dest.clone(),
                    other: "another file".to_owned(),
                };
                self.wrong(file.dest_pos, problem);
            }
        }
        Some(set(files, entry.pos, here.scope))
    }

    fn file_setting(&mut self, node: &Node, here: Here<'_>) -> Option<FileSetting> {
        let Data::Table(table) = &node.data else {
            self.wrong_type("files", node, "a table in each item");
            return None;
        };
        let label = || format!("`templates.files` of {}", here.label);
        let (mut src, mut dest) = (None, None);
        let (mut mode, mut owner) = (None, None);
        for (key, entry) in self.only_known(table, "templates.files", label) {
            match key {
                "src" => src = Some(self.template(entry, "files", here.scope)),
                "dest" => dest = Some(self.text(entry, "files", here.scope, check::host_path)),
                "mode" => mode = self.text(entry, "files", here.scope, check::mode),
                _ => owner = self.text(entry, "files", here.scope, check::owner),
            }
        }
        for (key, missing) in [("src", src.is_none()), ("dest", dest.is_none())] {
            if missing {
                self.wrong(
                    node.pos,
                    Problem::Missing {
                        key,
                        table: "an item of `templates.files`".to_owned(),
                    },
                );
            }
        }
        let (src, dest) = (src??, dest??);
        Some(FileSetting {
            src: src.value,
            src_pos: src.pos,
            dest: dest.value,
            dest_pos: dest.pos,
            mode: mode.map_or(0o644, |mode| mode.value),
            owner: owner.map_or_else(|| "root:root".to_owned(), |owner| owner.value),
        })
    }
}
