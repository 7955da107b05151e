//! Libraries that cannot be used, in a process of their own: one process loads ONNX Runtime once.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tidegate_inference::{LibraryError, Runtime, find_library, library_candidates};

/// What every build of ONNX Runtime exports, here of version `VERSION` and without any interface behind it.
const SOURCE: &str = r#"
static const char *version(void) { return VERSION; }
static const void *api(unsigned int wanted) { return 0; }
static const struct { const void *(*get_api)(unsigned int); const char *(*get_version)(void); } base = { api, version };
const void *OrtGetApiBase(void) { return &base; }
"#;

/// Compiles `source` into a shared library; the C compiler is what Rust links with.
fn compile(folder: &Path, name: &str, source: &str) -> PathBuf {
    let (code, library) = (folder.join(format!("{name}.c")), folder.join(format!("{name}.so")));
    std::fs::write(&code, source).expect("the folder is there");
    let status = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&code).status();
    assert!(status.expect("missing: cc (apt-get install gcc libc6-dev)").success(), "cc could not compile {name}");
    library
}

fn refused(path: &Path) -> LibraryError {
    let error = Runtime::load(path).expect_err("it was loaded");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    error
}

/// One test, because the last case spoils the process for the others.
#[test]
fn a_library_that_cannot_be_used_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let missing = refused(&folder.path().join("nowhere.so"));
    assert!(matches!(missing, LibraryError::NotFound { .. }), "{missing}");
    assert!(missing.to_string().contains("`make runtime` installs it"), "{missing}");

    for (name, bytes) in
        [("empty.so", &b""[..]), ("text.so", b"hello, world"), ("torn.so", b"\x7fELF and nothing more")]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = refused(&path);
        assert!(matches!(error, LibraryError::NotALibrary { .. }), "{error}");
    }
    assert!(matches!(Runtime::load(folder.path()).unwrap_err(), LibraryError::NotALibrary { .. }));

    let other = refused(&compile(folder.path(), "other", "int answer(void) { return 42; }"));
    assert!(matches!(other, LibraryError::NotALibrary { .. }), "{other}");

    let old = refused(&compile(folder.path(), "old", &SOURCE.replace("VERSION", "\"1.20.1\"")));
    assert!(old.to_string().contains("is too old: it is 1.20.1, needed is 1.24 or newer"), "{old}");

    let hollow = refused(&compile(folder.path(), "hollow", &SOURCE.replace("VERSION", "\"1.99.0\"")));
    assert!(matches!(hollow, LibraryError::NotStarted { .. }), "{hollow}");
}

#[test]
fn a_library_that_is_at_none_of_its_places_is_an_error_that_lists_them() {
    let folder = tempfile::tempdir().unwrap();
    let candidates: Vec<PathBuf> = library_candidates(folder.path()).into_iter().take(1).collect();
    let missing = find_library(&candidates).unwrap_err();
    assert_eq!(missing, LibraryError::NotFound { looked_at: candidates.clone() });
    std::fs::create_dir_all(candidates[0].parent().unwrap()).unwrap();
    std::fs::write(&candidates[0], b"").unwrap();
    assert_eq!(find_library(&candidates).unwrap(), candidates[0]);
}
