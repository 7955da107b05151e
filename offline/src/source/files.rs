//! From a path as written to the list of files, in name order, with the values of their hive partitions.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use tidegate_catalog::definitions::DataSource;

use crate::Error;

/// A file found, and the `key=value` folders on its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) partitions: BTreeMap<String, String>,
}

/// Every file of `source`; relative paths start at `root`.
pub(super) fn find(source: &DataSource, root: &Path) -> Result<Vec<Found>, Error> {
    let written = source.parquet.path.as_str();
    if let Some((scheme, _)) = written.split_once("://") {
        return Err(Error::NotYet { source_name: source.name.clone(), scheme: scheme.to_owned() });
    }
    // only what was written is a pattern, not the folder that the project lies in; what is there is meant literally
    let (base, pattern) = match root.join(written) {
        literal if literal.exists() => (literal, Vec::new()),
        _ => split_pattern(root, Path::new(written)),
    };
    let mut found = Vec::new();
    let failed = |(path, error): (PathBuf, std::io::Error)| Error::Path {
        source_name: source.name.clone(),
        path,
        reason: error.to_string(),
    };
    let metadata = std::fs::metadata(&base).map_err(|error| failed((base.clone(), error)))?;
    if metadata.is_file() && pattern.is_empty() {
        // a file named outright is taken whatever its name
        found.push(Found { path: base, partitions: BTreeMap::new() });
    } else {
        walk(&base, &pattern, &mut found).map_err(failed)?;
    }
    for file in &mut found {
        file.partitions = partitions(&file.path, root);
    }
    if found.is_empty() {
        return Err(Error::NoFiles { source_name: source.name.clone(), path: written.to_owned() });
    }
    found.sort();
    // `**` meets a folder named like a file both on its way down and as a match
    found.dedup();
    Ok(found)
}

/// The longest path without wildcards, and the components after it.
fn split_pattern(root: &Path, written: &Path) -> (PathBuf, Vec<String>) {
    let mut base = root.to_owned();
    let mut pattern = Vec::new();
    for component in written.components() {
        let text = component.as_os_str().to_string_lossy();
        if !pattern.is_empty() || text.contains(['*', '?', '[']) {
            pattern.push(text.into_owned());
        } else {
            base.push(component);
        }
    }
    (base, pattern)
}

/// Collects the files under `folder` that the pattern names; an empty pattern, or one that ends in a folder, takes all below.
/// What is hidden is not even looked at: it may be a dangling link, or closed to us.
fn walk(folder: &Path, pattern: &[String], found: &mut Vec<Found>) -> Result<(), (PathBuf, std::io::Error)> {
    let failed = |error| (folder.to_owned(), error);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_hidden(&name) {
            continue;
        }
        let Some(is_folder) = is_folder(&entry)? else { continue };
        let (fits, rest) = match pattern {
            [] => (true, pattern),
            [first, rest @ ..] if first == "**" => {
                // zero folders, or this one and on with the same pattern
                if is_folder {
                    walk(&entry.path(), pattern, found)?;
                }
                match rest {
                    [] => (!is_folder, rest),
                    [next, after @ ..] => (matches(next, &name), after),
                }
            }
            [first, rest @ ..] => (matches(first, &name), rest),
        };
        if !fits {
            continue;
        }
        if is_folder {
            walk(&entry.path(), rest, found)?;
        } else if rest.is_empty() && is_finished(&name) {
            found.push(Found { path: entry.path(), partitions: BTreeMap::new() });
        }
    }
    Ok(())
}

/// Whether an entry, or what it links to, is a folder; `None` when it is gone: renamed meanwhile, or a link to nowhere.
fn is_folder(entry: &std::fs::DirEntry) -> Result<Option<bool>, (PathBuf, std::io::Error)> {
    let kind = entry.file_type().and_then(|kind| match kind.is_symlink() {
        true => std::fs::metadata(entry.path()).map(|target| target.file_type()),
        false => Ok(kind),
    });
    match kind {
        Ok(kind) => Ok(Some(kind.is_dir())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err((entry.path(), error)),
    }
}

/// Writers hide what is not for readers behind a dot or an underscore; a hive folder may begin with one (`_year=2013`).
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || (name.starts_with('_') && !name.contains('='))
}

fn is_finished(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}

/// Shell wildcards within one name: `*`, `?`, `[abc]`, `[a-z]`, `[!a]`.
fn matches(pattern: &str, name: &str) -> bool {
    fn step(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=name.len()).any(|taken| step(rest, name.get(taken..).unwrap_or_default())),
            (['?', rest @ ..], [_, name @ ..]) => step(rest, name),
            (['[', rest @ ..], [letter, name @ ..]) => match rest.iter().position(|c| *c == ']') {
                Some(end) => {
                    let (set, after) = rest.split_at(end);
                    in_set(set, *letter) && step(after.get(1..).unwrap_or_default(), name)
                }
                None => *letter == '[' && step(rest, name),
            },
            ([wanted, rest @ ..], [letter, name @ ..]) => wanted == letter && step(rest, name),
            _ => false,
        }
    }
    let pattern = pattern.chars().collect::<Vec<_>>();
    step(&pattern, &name.chars().collect::<Vec<_>>())
}

fn in_set(set: &[char], letter: char) -> bool {
    let (negated, mut set) = match set {
        ['!' | '^', rest @ ..] => (true, rest),
        _ => (false, set),
    };
    let mut inside = false;
    while let [first, rest @ ..] = set {
        if let ['-', last, rest @ ..] = rest {
            inside |= (*first..=*last).contains(&letter);
            set = rest;
        } else {
            inside |= *first == letter;
            set = rest;
        }
    }
    inside != negated
}

/// The `key=value` folders of `path`, whether its source names them or finds them; those above the project are not its.
fn partitions(path: &Path, root: &Path) -> BTreeMap<String, String> {
    let below = path.strip_prefix(root).unwrap_or(path);
    let folders = below.parent().into_iter().flat_map(Path::components);
    let texts = folders.filter_map(|component| match component {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    texts.filter_map(|name| name.split_once('=')).map(|(key, value)| (key.to_owned(), percent_decoded(value))).collect()
}

/// Hive writes characters that a folder's name cannot hold as `%2F`.
fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digits = (byte == b'%').then(|| [ahead.next(), ahead.next()]);
        let value = digits.and_then(|digits| match digits {
            // from_str_radix alone would take `+1` for a number
            [Some(high), Some(low)] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                u8::from_str_radix(std::str::from_utf8(&[high, low]).ok()?, 16).ok()
            }
            _ => None,
        });
        match value {
            Some(value) => {
                decoded.push(value);
                bytes = ahead;
            }
            None => decoded.push(byte),
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use tidegate_catalog::definitions::{Described, ParquetSource};

    use super::*;

    fn source(path: &str) -> DataSource {
        let described = Described::default();
        DataSource { name: "s".to_owned(), parquet: ParquetSource { path: path.to_owned() }, described }
    }

    fn names(path: &str, root: &Path) -> Vec<String> {
        let found = find(&source(path), root).unwrap();
        found.iter().map(|f| f.path.strip_prefix(root).unwrap().display().to_string()).collect()
    }

    #[test]
    fn hidden_and_unfinished_files_are_passed_over() {
        let root = tempfile::tempdir().unwrap();
        for name in [
            "d/a.parquet",
            "d/.b.parquet",
            "d/_c.parquet",
            "d/e.parquet.tmp",
            "d/_temporary/f.parquet",
            "d/g.crc",
            "d/year=2013/h.parquet",
            "d/_SUCCESS",
        ] {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        assert_eq!(names("d", root.path()), ["d/a.parquet", "d/year=2013/h.parquet"]);
        assert_eq!(names("d/*.parquet", root.path()), ["d/a.parquet"]);
        assert_eq!(names("d/**/*.parquet", root.path()), ["d/a.parquet", "d/year=2013/h.parquet"]);
        assert_eq!(names("d/[a-b].parquet", root.path()), ["d/a.parquet"]);
        assert_eq!(names("d/e.parquet.tmp", root.path()), ["d/e.parquet.tmp"], "a file named outright");
        let found = find(&source("d"), root.path()).unwrap();
        assert_eq!(found[1].partitions, BTreeMap::from([("year".to_owned(), "2013".to_owned())]));
        let words = find(&source("d/x*"), root.path()).unwrap_err().to_string();
        assert!(words.contains("\"d/x*\" names no Parquet file"), "{words}");
        let words = find(&source("nowhere"), root.path()).unwrap_err().to_string();
        assert!(words.starts_with("source \"s\": ") && words.contains("nowhere"), "{words}");
        let words = find(&source("s3://bucket/x"), root.path()).unwrap_err().to_string();
        assert!(words.contains("s3:// is not yet"), "{words}");
    }

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn links_to_nowhere_are_passed_over_and_links_to_files_and_folders_are_followed() {
        let root = tempfile::tempdir().unwrap();
        touch(&root.path().join("elsewhere/a.parquet"));
        std::fs::create_dir(root.path().join("d")).unwrap();
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, root.path().join("d").join(name)).unwrap();
        link("nobody@host.1234", ".#b.parquet");
        link("gone.parquet", "c.parquet");
        link("../elsewhere/a.parquet", "e.parquet");
        link("../elsewhere", "f");
        assert_eq!(names("d", root.path()), ["d/e.parquet", "d/f/a.parquet"]);
    }

    #[test]
    fn wildcards_in_the_projects_own_path_or_in_a_name_that_is_there_are_letters() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("[prod]*");
        for name in ["d/a.parquet", "[x]/b.parquet", "x/c.parquet"] {
            touch(&root.join(name));
        }
        assert_eq!(names("d/*.parquet", &root), ["d/a.parquet"]);
        assert_eq!(names("[x]", &root), ["[x]/b.parquet"]);
        assert_eq!(names("[x-z]/*.parquet", &root), ["x/c.parquet"]);
    }

    #[test]
    fn the_folders_on_a_files_way_are_columns_however_its_source_is_written_and_those_above_the_project_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a=b");
        touch(&root.join("data/year=2013/x.parquet"));
        let absolute = root.join("data/year=2013/*.parquet").display().to_string();
        let written = ["data", "data/year=2013", "data/year=2013/x.parquet", "data/*/*.parquet", absolute.as_str()];
        for path in written {
            let found = find(&source(path), &root).unwrap();
            assert_eq!(found[0].partitions, BTreeMap::from([("year".to_owned(), "2013".to_owned())]), "{path}");
        }
    }

    #[test]
    fn wildcards_match_within_one_name() {
        for (pattern, name, expected) in [
            ("*.parquet", "a.parquet", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[!a]x", "bx", true),
            ("[!a]x", "ax", false),
            ("[a-c]1", "b1", true),
            ("*", "", true),
            ("a*b*c", "a--b--c", true),
            ("[x", "[x", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
