//! `RESULTS.md`: each part of the run is a section, which says when and how it was measured.

use crate::{run::Result, section::Section};
use measuring::files;
use std::{collections::BTreeMap, fmt::Write, fs, io::ErrorKind::NotFound, path::Path};

/// Replaces a section of the file in a folder. The others stay as they are.
pub(crate) fn put(folder: &Path, section: Section, text: &str) -> Result<()> {
    let file = folder.join("RESULTS.md");
    let old = match fs::read_to_string(&file) {
        Err(error) if error.kind() == NotFound => String::new(),
        read => read?,
    };
    Ok(files::put(&file, replaced(&old, section, text)?)?)
}

fn replaced(old: &str, section: Section, text: &str) -> Result<String> {
    let mut sections: BTreeMap<Section, String> = BTreeMap::new();
    for part in old.split("\n## ").skip(1) {
        let title = part.lines().next().unwrap_or_default();
        if let Some(section) = Section::ALL.into_iter().find(|section| section.title() == title) {
            sections.insert(section, format!("## {}", part.trim_end()));
        }
    }
    sections.insert(section, text.trim_end().to_owned());
    let mut all = HEAD.to_owned();
    for text in sections.values() {
        write!(all, "\n{text}\n")?;
    }
    Ok(all)
}

const HEAD: &str = "# Results

Written by `cargo run --release -p beside` in this folder, which measures everything here; a part alone is measured with its
word behind it. README.md says what is measured and how. Overhead is what a request costs above the same request, with the
same cookies, to the same application without sessions.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_replaces_itself_alone_and_stands_in_order() {
        let text = |section: Section, words: &str| format!("## {}\n\n{words}\n", section.title());
        let old = replaced("", Section::Growth, &text(Section::Growth, "grown")).unwrap();
        let both = replaced(&old, Section::Times, &text(Section::Times, "first")).unwrap();
        let new = replaced(&both, Section::Times, &text(Section::Times, "second")).unwrap();
        let [times, growth] = [(Section::Times, "second"), (Section::Growth, "grown")]
            .map(|(section, words)| text(section, words));
        assert_eq!(new, format!("{HEAD}\n{times}\n{growth}"));
    }
}
