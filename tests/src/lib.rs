//! Whole-system tests; what they share lives here: a sandbox that runs the real binary on a project of its own.
#![expect(clippy::missing_panics_doc, reason = "test equipment panics where the machine does not let it work")]

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

pub mod games;
pub mod http;

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_owned()
}

/// The binary under test, which `make test` builds beside the tests.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.parent().and_then(Path::parent).expect("a test lies in target/<profile>/deps");
    let binary = folder.join("tidegate");
    assert!(binary.is_file(), "{} is missing; `make test` builds it", binary.display());
    binary
}

/// A project in a folder of its own, and the binary to run on it.
#[derive(Debug)]
pub struct Sandbox {
    /// Kept for its removal.
    folder: TempDir,
    /// Where the project is.
    pub project: PathBuf,
}

/// What a run of the binary said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// The output of a command that must have worked.
    pub fn done(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self.out
    }

    /// The output as JSON.
    pub fn json(self) -> Value {
        let out = self.done();
        serde_json::from_str(&out).unwrap_or_else(|error| unreachable!("{error}: {out}"))
    }
}

impl Sandbox {
    /// The project that `tidegate init` writes.
    pub fn init() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let project = folder.path().join("shop");
        let sandbox = Self { folder, project };
        let said = sandbox.run_plain(&["init", sandbox.project.to_str().expect("a temporary path is text")]);
        said.done();
        sandbox
    }

    /// A project folder with nothing in it.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let project = folder.path().join("project");
        std::fs::create_dir(&project).expect("a temporary folder can be written");
        Self { folder, project }
    }

    /// Writes a file of the project, whole at once: a reader sees the old one or the new one.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.project.join(name);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("the project can be written");
        let fresh = self.folder.path().join("fresh");
        std::fs::write(&fresh, content).expect("the sandbox can be written");
        std::fs::rename(&fresh, &path).expect("the project can be written");
    }

    /// Copies a file into the project.
    pub fn copy(&self, name: &str, from: &Path) {
        self.write(name, std::fs::read(from).expect("what is copied is there"));
    }

    /// Replaces `old`, which must be there, in a text file of the project.
    pub fn edit(&self, name: &str, old: &str, new: &str) {
        let text = std::fs::read_to_string(self.project.join(name)).expect("the file is there");
        assert!(text.contains(old), "{name} has no {old:?}");
        self.write(name, text.replace(old, new));
    }

    /// Another project, with its state in a folder of this sandbox.
    pub fn of(project: &Path) -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder can be made"), project: project.to_owned() }
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.state_in("state")
    }

    /// Another state folder.
    pub fn state_in(&self, state: &str) -> PathBuf {
        self.folder.path().join(state)
    }

    /// Runs a command on the project.
    pub fn tidegate(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output().expect("the binary starts");
        said(&output)
    }

    /// Runs a command with its state in another folder of this sandbox, and the store at `url`.
    pub fn on_store(&self, state: &str, url: &str, arguments: &[&str]) -> Said {
        let mut command = self.command_in(state, arguments);
        let output = command.env("TIDEGATE__STORE__URL", url).output();
        said(&output.expect("the binary starts"))
    }

    /// Runs a command by itself.
    pub fn run_plain(&self, arguments: &[&str]) -> Said {
        said(&Command::new(binary()).args(arguments).output().expect("the binary starts"))
    }

    /// The command on the project and this sandbox's state.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_in("state", arguments)
    }

    /// The command on the project with its state in another folder of this sandbox.
    pub fn command_in(&self, state: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.arg("-C").arg(&self.project).arg("--state").arg(self.state_in(state)).args(arguments);
        command.env_remove("RUST_BACKTRACE").stdin(Stdio::null());
        command
    }

    /// Starts `serve` on a free port and waits until it says where.
    pub fn serve(&self, arguments: &[&str]) -> Server {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(arguments);
        Server::start(command)
    }
}

/// Sends a signal to a process of this test.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(sent.expect("kill can be run").success(), "no process {pid}");
}

/// Waits for what `ask` answers, at most `pauses` times 10 ms between the questions.
pub fn wait_for<T>(pauses: u32, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..pauses {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    ask()
}

/// What a finished run of the binary said.
pub fn said(output: &Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A running `serve`, killed when dropped.
#[derive(Debug)]
pub struct Server {
    process: Child,
    /// Where it listens.
    pub address: String,
}

impl Server {
    /// Starts a `serve` and waits until it says where it listens.
    pub fn start(mut command: Command) -> Self {
        let mut process = command.stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut lines = BufReader::new(process.stderr.take().expect("standard error is piped")).lines();
        let mut heard = String::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else { unreachable!("the server ended before it listened:\n{heard}") };
            if let Some((_, address)) = line.split_once(" on http://") {
                break address.to_owned();
            }
            heard.push_str(&line);
            heard.push('\n');
        };
        // what it says later must not fill the pipe
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { process, address }
    }

    /// Gets a page that must be there.
    pub fn get(&self, path: &str) -> Value {
        http::get(&self.address, path).expect("the server answers").json
    }

    /// Posts JSON.
    pub fn post(&self, path: &str, body: &Value) -> http::Answer {
        http::post(&self.address, path, body).expect("the server answers")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Kills it as `kill -9` does.
    pub fn kill(mut self) {
        self.process.kill().expect("the server can be killed");
        self.process.wait().expect("the server can be waited for");
    }

    /// Ends it in order and answers its exit code.
    pub fn stop(mut self) -> i32 {
        signal(self.process.id(), "TERM");
        self.process.wait().expect("the server can be waited for").code().unwrap_or(-1)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // it may have ended already
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
