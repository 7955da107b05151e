//! What the command line refuses: case -> exit code -> exact words that name the thing. A `*` in the words stands for what
//! differs from run to run; `{project}` for the project's folder.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{os::unix::fs::MetadataExt, sync::Arc};

use arrow_array::{Float32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use tidegate_tests::{
    Said, Sandbox,
    games::{self, game},
};

/// One row of a table.
struct Case {
    name: &'static str,
    code: i32,
    out: &'static str,
    err: &'static str,
}

const fn case(name: &'static str, code: i32, out: &'static str, err: &'static str) -> Case {
    Case { name, code, out, err }
}

impl Case {
    /// What is wrong with what was said, if anything.
    fn difference(&self, said: &Said, sandbox: &Sandbox) -> Option<String> {
        let filled = |words: &str| words.replace("{project}", &sandbox.project.display().to_string());
        let (out, err) = (filled(self.out), filled(self.err));
        let same = said.code == self.code && is_like(&said.out, &out) && is_like(&said.err, &err);
        (!same).then(|| {
            let Case { name, code, .. } = self;
            format!("{name}: expected {code}\n{out}{err}said {}\n{}{}", said.code, said.out, said.err)
        })
    }
}

/// Whether `text` is `pattern`, where a `*` is any text.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = (if part.is_empty() { Some(rest.len()) } else { rest.find(part) }) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    rest.is_empty() || last.is_some_and(|last| !last.is_empty() && rest.ends_with(last))
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::games(&[game("ann", "2026-01-01T00:00:00Z", [1.0, 2.0, 3.0])]);
    sandbox.write("data/odd.parquet", odd_columns());
    sandbox
}

fn applied() -> Sandbox {
    let sandbox = sandbox();
    sandbox.tidegate(&["apply"]).done();
    sandbox
}

/// A file whose columns have capitals, a dot and a space in their names.
fn odd_columns() -> Vec<u8> {
    let at = TimestampMicrosecondArray::from_iter_values([1_767_225_600_000_000]).with_timezone("UTC");
    let batch = RecordBatch::try_from_iter([
        ("player", Arc::new(StringArray::from(vec!["ann"])) as _),
        ("Played", Arc::new(at) as _),
        ("air.temp", Arc::new(Float32Array::from(vec![1.5])) as _),
        ("wind speed", Arc::new(Float32Array::from(vec![2.5])) as _),
    ]);
    tidegate_offline::parquet_bytes(&batch.unwrap()).unwrap()
}

/// Validates the project with each text as one more file, and shows every difference at once.
fn validated(cases: impl IntoIterator<Item = (Case, String)>) {
    let sandbox = sandbox();
    let differences = cases.into_iter().filter_map(|(case, text)| {
        sandbox.write("more.yaml", text);
        case.difference(&sandbox.tidegate(&["validate"]), &sandbox)
    });
    let differences = differences.collect::<Vec<_>>();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

const FINE: &str = "0 errors, 0 warnings\n";

#[test]
fn names_that_are_words_elsewhere() {
    let entity = |name: &str| format!("kind: Entity\nname: {name}\njoin_keys: [{{name: k, type: int64}}]\n");
    validated([
        (case("no is a text", 0, FINE, ""), entity("no")),
        (case("on is a text", 0, FINE, ""), entity("on")),
        (
            case(
                "0123 is a number",
                1,
                "",
                "error: more.yaml:2: name: must be a text, is the number 0123; put it in quotes if it is meant as text\n",
            ),
            entity("0123"),
        ),
        (
            case(
                "1e3 is a number",
                1,
                "",
                "error: more.yaml:2: name: must be a text, is the number 1e3; put it in quotes if it is meant as text\n",
            ),
            entity("1e3"),
        ),
        (case("in quotes it is a text and still no name", 1, "", "error: more.yaml:2: name: *\n"), entity("\"0123\"")),
    ]);
}

#[test]
fn values_that_are_words_elsewhere() {
    let view = |kind: &str, default: &str| {
        format!(
            "kind: FeatureView\nname: v\nentities: [player]\nsource: games\ntimestamp_field: played_at\nfeatures:\n  \
             - {{name: a, type: {kind}, default: {default}}}\n"
        )
    };
    validated([
        (
            case(
                "no is no bool",
                1,
                "",
                "error: more.yaml:7: features[0].default: \"no\" is no bool; write true or false\n",
            ),
            view("bool", "no"),
        ),
        (
            case(
                "on is no bool",
                1,
                "",
                "error: more.yaml:7: features[0].default: \"on\" is no bool; write true or false\n",
            ),
            view("bool", "on"),
        ),
        (case("0123 is the number 123", 0, FINE, ""), view("float32", "0123")),
        (case("1e3 is the number 1000", 0, FINE, ""), view("float32", "1e3")),
        (
            case(
                "1e3 is no whole number",
                1,
                "",
                "error: more.yaml:7: features[0].default: 1000.0 is no int64; write a whole number in its range\n",
            ),
            view("int64", "1e3"),
        ),
        (
            case(
                "0123 is no text",
                1,
                "",
                "error: more.yaml:7: features[0].default: 123 is no string; put it in quotes\n",
            ),
            view("string", "0123"),
        ),
    ]);
}

#[test]
fn what_is_not_there() {
    let view = |rest: &str| {
        format!(
            "kind: FeatureView\nname: v\ntimestamp_field: played_at\nfeatures: [{{name: a, type: float32}}]\n{rest}\n"
        )
    };
    validated([
        (
            case(
                "two views with one name in two files",
                1,
                "",
                "error: more.yaml:2: name: \"Form\" is the name of the FeatureView in definitions.yaml:10 already (case does \
                 not count)\n",
            ),
            view("entities: [player]\nsource: games").replace("name: v", "name: Form"),
        ),
        (
            case(
                "an unknown entity and an unknown source",
                1,
                "",
                "error: more.yaml:5: entities[0]: there is no entity \"plyer\"; did you mean \"player\"?\nmore.yaml:6: \
                 source: there is no data source \"game\"; did you mean \"games\"?\n",
            ),
            view("entities: [plyer]\nsource: game"),
        ),
        (
            case(
                "an unknown table in SQL",
                1,
                "more.yaml:6: error: FeatureView v: sql: feature view \"v\": table 'game' not found\n1 errors, 0 \
                 warnings\n",
                "",
            ),
            view("entities: [player]\nsql: SELECT player, played_at, a FROM game"),
        ),
        (
            case(
                "unknown fields, outside and inside",
                1,
                "",
                "error: more.yaml:6: sorce: there is no such field; did you mean \"source\"?\nmore.yaml:7: \
                 features[0].defalt: there is no such field; did you mean \"default\"?\n",
            ),
            "kind: FeatureView\nname: v\nentities: [player]\nsource: games\ntimestamp_field: played_at\nsorce: games\n\
             features: [{name: a, type: float32, defalt: 0}]\n"
                .to_owned(),
        ),
        (
            case(
                "an unknown kind",
                1,
                "",
                "error: more.yaml:1: kind: there is no kind \"FeatureVew\"; did you mean \"FeatureView\"?\n",
            ),
            view("entities: [player]\nsource: games").replace("kind: FeatureView", "kind: FeatureVew"),
        ),
    ]);
}

#[test]
fn queries_that_do_not_parse_name_the_line_of_the_file() {
    let view = |rest: &str| {
        format!(
            "kind: FeatureView\nname: v\nentities: [player]\ntimestamp_field: played_at\nfeatures: [{{name: a, type: \
             float32}}]\n{rest}\n"
        )
    };
    validated([
        (
            case(
                "line 3 of a block",
                1,
                "more.yaml:9: error: FeatureView v: sql (line 3, column 7): feature view \"v\": Expected: \
                 identifier, found: , at Line: 3, Column: 7\n1 errors, 0 warnings\n",
                "",
            ),
            view("sql: |\n  SELECT player, played_at,\n    a\n  FROM (, FROM games"),
        ),
        (
            case(
                "SQL on the line of its field",
                1,
                "more.yaml:6: error: FeatureView v: sql (line 1, column 1): feature view \"v\": Expected: an SQL \
                 statement, found: SELEC at Line: 1, Column: 1\n1 errors, 0 warnings\n",
                "",
            ),
            view("sql: SELEC player, played_at, a FROM games"),
        ),
        (
            case(
                "a filter on the line of its field",
                1,
                "more.yaml:7: error: FeatureView v: filter (line 1, column 5): feature view \"v\": Expected: an \
                 expression, found: > at Line: 1, Column: 5\n1 errors, 0 warnings\n",
                "",
            ),
            view("source: games\nfilter: a > > 2"),
        ),
        (
            case(
                "line 2 of a filter",
                1,
                "more.yaml:9: error: FeatureView v: filter (line 2, column 9): feature view \"v\": Expected: an \
                 expression, found: > at Line: 2, Column: 9\n1 errors, 0 warnings\n",
                "",
            ),
            view("source: games\nfilter: |\n  a > 1\n  AND a > > 2"),
        ),
        (
            case(
                "a clock in a filter",
                1,
                "more.yaml:7: error: FeatureView v: filter (line 1, column 13): now() gives another value on every \
                 run, so \
                 rows could not be compared or built again; use a column of the data, or set the time with --as-of\n1 errors, \
                 0 warnings\n",
                "",
            ),
            view("source: games\nfilter: played_at < now()"),
        ),
    ]);
}

#[test]
fn columns_with_capitals_dots_and_spaces_want_quotes() {
    let view = |query: &str| {
        format!(
            "kind: DataSource\nname: odd\nparquet: {{path: data/odd.parquet}}\n---\nkind: FeatureView\nname: v\nentities: \
             [player]\ntimestamp_field: at\nfeatures: [{{name: f, type: float32}}]\nsql: {query}\n"
        )
    };
    validated([
        (
            case("quoted", 0, FINE, ""),
            view("SELECT player, \"Played\" AS at, \"air.temp\" + \"wind speed\" AS f FROM odd"),
        ),
        (
            case(
                "a capital",
                1,
                "more.yaml:10: error: FeatureView v: sql: feature view \"v\": no column is named played (there are: \
                 odd.player, odd.\"Played\", odd.\"air.temp\", odd.\"wind speed\"); in double quotes there is \
                 \"Played\"\n1 errors, 0 warnings\n",
                "",
            ),
            view("SELECT player, Played AS at, \"air.temp\" AS f FROM odd"),
        ),
        (
            case(
                "a dot",
                1,
                "more.yaml:10: error: FeatureView v: sql: feature view \"v\": no column is named air.temp (there \
                 are: odd.player, odd.\"Played\", odd.\"air.temp\", odd.\"wind speed\"); in double quotes there is \
                 \"air.temp\"\n1 errors, 0 warnings\n",
                "",
            ),
            view("SELECT player, \"Played\" AS at, air.temp AS f FROM odd"),
        ),
        (
            case(
                "a space",
                1,
                "more.yaml:10: error: FeatureView v: sql (line 1, column 43): feature view \"v\": Expected: end of \
                 statement, found: AS at Line: 1, Column: 43; in double quotes there is \"wind speed\"\n1 errors, 0 \
                 warnings\n",
                "",
            ),
            view("SELECT player, \"Played\" AS at, wind speed AS f FROM odd"),
        ),
    ]);
}

/// One row with the columns `player`, `played_at` and `a`, a number or a text.
fn sibling(text: bool) -> Vec<u8> {
    let at = TimestampMicrosecondArray::from_iter_values([1_767_225_600_000_000]).with_timezone("UTC");
    let a: arrow_array::ArrayRef =
        if text { Arc::new(StringArray::from(vec!["one"])) } else { Arc::new(Float32Array::from(vec![1.0])) };
    let batch = RecordBatch::try_from_iter([
        ("player", Arc::new(StringArray::from(vec!["ann"])) as _),
        ("played_at", Arc::new(at) as _),
        ("a", a),
    ]);
    tidegate_offline::parquet_bytes(&batch.unwrap()).unwrap()
}

#[test]
fn sources_that_cannot_be_read() {
    let whole = sibling(false);
    let sandbox = sandbox();
    sandbox.write("data/cut.parquet", &whole[..whole.len() - 20]);
    sandbox.write("data/empty.parquet", "");
    sandbox.write("data/mixed/1.parquet", &whole);
    sandbox.write("data/mixed/2.parquet", sibling(true));
    sandbox.write("data/hidden/.1.parquet", &whole);
    let cases = [
        ("data/cut.parquet", "{project}/data/cut.parquet: not a readable Parquet file: Parquet error: *"),
        ("data/empty.parquet", "{project}/data/empty.parquet: not a readable Parquet file: it is empty"),
        ("data/mixed", "{project}/data/mixed/2.parquet: column \"a\" is Utf8, in the files before it Float32*"),
        ("data/hidden", "\"data/hidden\" names no Parquet file (hidden and unfinished files are passed over)"),
        ("data/none.parquet", "{project}/data/none.parquet: No such file or directory (os error 2)"),
    ];
    let mut differences = Vec::new();
    for (path, words) in cases {
        sandbox.write(
            "more.yaml",
            format!(
                "kind: DataSource\nname: bad\nparquet: {{path: {path}}}\n---\nkind: FeatureView\nname: v\nentities: \
                 [player]\ntimestamp_field: played_at\nfeatures: [{{name: a, type: float32}}]\nsource: bad\n"
            ),
        );
        let found = format!(
            "more.yaml:3: error: DataSource bad: parquet.path: source \"bad\": {words}\nmore.yaml:10: not checked: \
             FeatureView v: source: its columns could not be checked: data source \"bad\" has an error\n1 errors, 0 \
             warnings, 1 checks not made\n"
        )
        .replace("{project}", &sandbox.project.display().to_string());
        let validated = sandbox.tidegate(&["validate"]);
        let applied = sandbox.tidegate(&["apply"]);
        if (validated.code, applied.code) != (1, 1)
            || !is_like(&validated.out, &found)
            || !is_like(&applied.err, &found)
        {
            differences.push(format!("{path}: expected\n{found}said\n{}{}", validated.out, applied.err));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_source_that_broke_after_apply_fails_its_run_and_loses_nothing() {
    let sandbox = applied();
    sandbox.tidegate(&["materialize"]).done();
    let whole = std::fs::read(sandbox.project.join("data/games.parquet")).unwrap();
    sandbox.write("data/games.parquet", &whole[..whole.len() - 20]);
    let said = sandbox.tidegate(&["materialize", "--start", "1970-01-01"]);
    let file = sandbox.project.join("data/games.parquet");
    let words = format!("FAILED: source \"games\": {}: not a readable Parquet file: Parquet error: ", file.display());
    assert!(said.code == 1 && said.out.contains(&words), "{}{}", said.out, said.err);
    let ann = ["features", "get", "form:a", "--entities", "{\"player\": [\"ann\"]}"];
    assert_eq!(sandbox.tidegate(&ann).json()["results"][1]["values"], serde_json::json!([1.0]));
}

/// A case, the project that it meets, and what is typed there.
type Typed<'a> = (Case, fn() -> Sandbox, &'a [&'a str]);

/// Runs each command on a project of its own, and shows every difference at once.
fn refused<const N: usize>(cases: [Typed<'_>; N]) {
    let differences = cases.into_iter().filter_map(|(case, sandbox, arguments)| {
        let sandbox = sandbox();
        case.difference(&sandbox.tidegate(arguments), &sandbox)
    });
    let differences = differences.collect::<Vec<_>>();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn commands_and_their_arguments() {
    refused([
        (
            case("an unknown option", 2, "", "error: unexpected argument '--planned' found\n*"),
            sandbox,
            &["plan", "--planned"],
        ),
        (
            case(
                "a time that is none",
                2,
                "",
                "error: invalid value 'noon' for '--end <TIME>': \"noon\" is not a time; write it like 2013-11-15T12:00:00Z, with up to six digits of a second\n*",
            ),
            sandbox,
            &["materialize", "--end", "noon"],
        ),
    ]);
}

#[test]
fn what_a_command_asks_for() {
    refused([
        (
            case(
                "an unknown endpoint",
                1,
                "",
                "error: 404 Not Found: {\"code\":\"NotFound\",\"message\":\"endpoint \\\"nope\\\" is not in catalog version \
                 1\",\"request_id\":\"*\"}\n",
            ),
            applied,
            &["predict", "nope", "--entities", "{}"],
        ),
        (
            case(
                "entities that are not JSON",
                1,
                "",
                "error: --entities is not JSON: expected ident at line 1 column 2\n",
            ),
            applied,
            &["predict", "rank", "--entities", "not json"],
        ),
        (
            case(
                "entities cut off",
                1,
                "",
                "error: --entities is not JSON: EOF while parsing a value at line 1 column 11\n",
            ),
            applied,
            &["features", "get", "form:a", "--entities", "{\"player\": "],
        ),
        (
            case(
                "request values that are not JSON",
                1,
                "",
                "error: --request is not JSON: expected value at line 1 column 7\n",
            ),
            applied,
            &["predict", "rank", "--entities", "{\"player\": \"ann\"}", "--request", "{\"x\": +1}"],
        ),
        (
            case("nothing applied yet", 1, "", "error: nothing was applied to the registry yet; run tidegate apply\n"),
            sandbox,
            &["materialize"],
        ),
        (
            case(
                "an interval that ends before it starts",
                1,
                "",
                "error: the interval starts at 2026-02-01T00:00:00Z, after its end 2026-01-01T00:00:00Z; start is exclusive, \
                 end inclusive and never after now\n",
            ),
            applied,
            &["materialize", "--start", "2026-02-01", "--end", "2026-01-01"],
        ),
        (
            case(
                "an unknown view among good ones",
                1,
                "",
                "error: feature view \"frm\" is not in the registry (it has: form); run tidegate apply if it is new\n",
            ),
            applied,
            &["materialize", "--views", "form,frm"],
        ),
        (
            case("a plan of no version", 1, "", "error: the registry has no version 7, it is at 1; run plan again\n"),
            applied,
            &["apply", "--planned-at", "7"],
        ),
    ]);
}

fn breaking() -> Sandbox {
    let sandbox = applied();
    sandbox.edit("definitions.yaml", "{name: c, type: float32, default: 0}", "{name: c, type: float64}");
    sandbox
}

fn rewritten() -> Sandbox {
    let sandbox = applied();
    sandbox.tidegate(&["materialize"]).done();
    let other = [game("ann", "2026-01-01T00:00:00Z", [5.0, 2.0, 3.0]), game("bob", "2026-01-02T00:00:00Z", [1.0; 3])];
    sandbox.write("data/games.parquet", games::parquet(&other));
    sandbox
}

fn stale() -> Sandbox {
    let sandbox = applied();
    sandbox.edit("definitions.yaml", "name: x, type: float32", "name: x, type: float32}, {name: y, type: float32");
    sandbox.edit("definitions.yaml", "features: [\"form:*\"]", "features: [\"form:a\", \"form:b\"]");
    sandbox.tidegate(&["apply", "--allow-breaking"]).done();
    sandbox
}

#[test]
fn changes_and_differences() {
    refused([
        (
            case(
                "a breaking change",
                1,
                "",
                "*error: the plan has breaking changes: FeatureView form: feature c changes from float32 to float64; feature \
                 service rank uses it; check who reads them, then apply with --allow-breaking\n",
            ),
            breaking,
            &["apply"],
        ),
        (
            case("a breaking change that is allowed", 0, "*applied version 2\n", "*"),
            breaking,
            &["apply", "--allow-breaking"],
        ),
        (
            case("something to apply", 3, "*0 to add, 1 to change, 0 to remove.\n*", "*"),
            breaking,
            &["plan", "--exit-code"],
        ),
        (
            case(
                "a stale plan",
                1,
                "",
                "error: the plan was made at version 1, the definitions have changed up to version 2; run plan again\n",
            ),
            stale,
            &["apply", "--planned-at", "1"],
        ),
        (case("rows that differ", 3, "*KEYS DIFFER*", ""), rewritten, &["verify", "--all"]),
    ]);
}

fn latin() -> Sandbox {
    let sandbox = sandbox();
    sandbox.write("tidegate.yaml", b"project: caf\xe9\n");
    sandbox
}

fn no_project() -> Sandbox {
    Sandbox::empty()
}

fn newer_state() -> Sandbox {
    let sandbox = applied();
    std::fs::write(sandbox.state().join("FORMAT"), "99\n").unwrap();
    sandbox
}

fn state_is_a_file() -> Sandbox {
    let sandbox = sandbox();
    std::fs::write(sandbox.state(), "").unwrap();
    sandbox
}

#[test]
fn projects_and_state_folders() {
    refused([
        (
            case(
                "a root file that is no text",
                1,
                "",
                "error: tidegate.yaml:1: the file is not UTF-8 text; save it as UTF-8\n",
            ),
            latin,
            &["validate"],
        ),
        (
            case(
                "no project",
                1,
                "",
                "error: {project}: there is no tidegate.yaml here; `tidegate init` writes a project, --project names another \
                 folder\n",
            ),
            no_project,
            &["apply"],
        ),
        (
            case(
                "a state folder of a newer version",
                1,
                "",
                "error: state folder * has format 99, this version knows up to 1; upgrade tidegate, or choose another folder \
                 with --state\n",
            ),
            newer_state,
            &["runs"],
        ),
        (
            case("a file in its place", 1, "", "error: state folder *: *; choose another with --state or state.path\n"),
            state_is_a_file,
            &["runs"],
        ),
    ]);
}

#[test]
fn a_state_folder_that_cannot_be_written() {
    let sandbox = sandbox();
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    // root may write wherever the file system lets anybody: not below /proc
    let folder = if root { "/proc/self/tidegate".into() } else { sandbox.project.join("locked") };
    if !root {
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o500)).unwrap();
    }
    let project = sandbox.project.to_str().unwrap();
    for command in ["apply", "materialize", "runs", "serve"] {
        let said = sandbox.run_plain(&["-C", project, "--state", folder.to_str().unwrap(), command]);
        let words = format!("error: state folder {}: *; choose another with --state or state.path\n", folder.display());
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{command}");
        assert!(is_like(&said.err, &words), "{command} (as root: {root}): {}", said.err);
    }
}

#[test]
fn patterns_match_whole_texts() {
    for (text, pattern, alike) in [
        ("abc", "abc", true),
        ("abc", "ab", false),
        ("abc", "a*", true),
        ("abc", "a*c", true),
        ("abcd", "a*c", false),
        ("acbc", "a*c", true),
        ("abc", "*c", true),
        ("abc", "*", true),
        ("abc", "*b", false),
    ] {
        assert_eq!(is_like(text, pattern), alike, "{text} {pattern}");
    }
}
