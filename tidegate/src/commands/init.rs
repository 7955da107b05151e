//! `init`: writes a small project that works, data included.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{Float32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use tidegate_catalog::{Micros, yaml};

use super::{
    catalog::{Done, Failure},
    exit,
};
use crate::{output::Printer, project::ROOT_FILE};

const ROOT: &str = include_str!("template/tidegate.yaml");
/// The line that keeps the state folder out of a repository.
const IGNORED: &str = ".tidegate/";
const DEFINITIONS: &str = include_str!("template/definitions.yaml");

/// `tidegate init`
/// # Errors
/// When the folder holds one of its files already, or cannot be written; then it is as it was.
pub async fn init(folder: &Path, printer: &Printer) -> Done {
    let name = folder.file_name().and_then(|name| name.to_str()).filter(|name| yaml::name_refusal(name).is_none());
    let root = ROOT.replace("PROJECT", name.unwrap_or("shop"));
    let orders = tidegate_offline::parquet_bytes(&orders())?;
    // the root file last: it is what makes the folder a project
    let files: [(&str, &[u8]); 3] =
        [("data/orders.parquet", &orders), ("definitions.yaml", DEFINITIONS.as_bytes()), (ROOT_FILE, root.as_bytes())];
    let place = folder.display();
    if folder.join(ROOT_FILE).exists() {
        return Err(Failure::new(format!("{place} holds a project already")));
    }
    let held = files.iter().map(|(name, _)| *name).filter(|name| folder.join(name).exists()).collect::<Vec<_>>();
    if !held.is_empty() {
        return Err(Failure::new(format!(
            "{place} holds {} already, which init would write; choose another folder",
            held.join(" and ")
        )));
    }
    let mut written = Vec::new();
    if let Err(failure) = write_all(folder, &files, &mut written) {
        // half a project would refuse the next init
        for file in written {
            drop(fs::remove_file(file));
        }
        return Err(failure);
    }
    printer
        .out(format!(
            "wrote a project to {place}; now:\n  cd {place}\n  tidegate apply\n  tidegate materialize\n  tidegate features get customer_orders:orders --entities '{{\"customer\": [\"ann\", \"bob\"]}}'\n  tidegate serve"
        ))
        .await;
    Ok(exit::DONE)
}

/// Writes each file, none over another, and pushes it to `written`; `.gitignore` gets a line.
fn write_all(folder: &Path, files: &[(&str, &[u8])], written: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    fs::create_dir_all(folder.join("data")).map_err(|error| failed(folder, error))?;
    for (name, content) in files {
        let path = folder.join(name);
        let mut file = File::create_new(&path).map_err(|error| failed(&path, error))?;
        written.push(path.clone());
        file.write_all(content).map_err(|error| failed(&path, error))?;
    }
    let path = folder.join(".gitignore");
    let ignored = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(&path, error)),
    };
    if ignored.lines().any(|line| line.trim() == IGNORED) {
        return Ok(());
    }
    let line_break = if ignored.is_empty() || ignored.ends_with('\n') { "" } else { "\n" };
    let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(|error| failed(&path, error))?;
    file.write_all(format!("{line_break}{IGNORED}\n").as_bytes()).map_err(|error| failed(&path, error))
}

/// A few orders of three customers.
fn orders() -> RecordBatch {
    let customers = ["ann", "bob", "ann", "cy", "ann", "bob"];
    let at = |day: i64| Micros(1_767_225_600_000_000 + day * 86_400_000_000).0;
    let times = TimestampMicrosecondArray::from_iter_values((0..6).map(at)).with_timezone("UTC");
    let amounts = Float32Array::from(vec![20.0, 7.5, 12.25, 99.0, 3.0, 41.0]);
    RecordBatch::try_from_iter([
        ("order_id", Arc::new(Int64Array::from_iter_values(1..7)) as _),
        ("customer", Arc::new(StringArray::from(customers.to_vec())) as _),
        ("ordered_at", Arc::new(times) as _),
        ("amount", Arc::new(amounts) as _),
    ])
    .expect("the columns have one length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_of_the_users_is_overwritten() {
        for held in ["tidegate.yaml", "definitions.yaml", "data/orders.parquet"] {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("data")).unwrap();
            fs::write(folder.path().join(held), "mine").unwrap();
            let words = init(folder.path(), &Printer::silent()).await.unwrap_err().to_string();
            assert!(words.contains("already"), "{words}");
            assert_eq!(fs::read_to_string(folder.path().join(held)).unwrap(), "mine");
            assert!(!folder.path().join(".gitignore").exists(), "{held}: nothing else is written");
        }
    }

    #[tokio::test]
    async fn a_gitignore_gets_one_line_more_and_the_root_file_comes_last() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".gitignore"), "target").unwrap();
        // a file where a folder belongs: what is below it cannot be written
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::write(folder.path().join("blocked"), "").unwrap();
        let written = &mut Vec::new();
        let files: [(&str, &[u8]); 2] = [("definitions.yaml", b"x"), ("blocked/tidegate.yaml", b"y")];
        assert!(write_all(folder.path(), &files, written).is_err());
        assert_eq!(*written, [folder.path().join("definitions.yaml")], "what is to be taken back is known");
        fs::remove_file(folder.path().join("definitions.yaml")).unwrap();

        assert_eq!(init(folder.path(), &Printer::silent()).await.unwrap(), exit::DONE);
        assert_eq!(fs::read_to_string(folder.path().join(".gitignore")).unwrap(), "target\n.tidegate/\n");
        assert!(fs::read_to_string(folder.path().join("tidegate.yaml")).unwrap().contains("project:"));
    }
}
