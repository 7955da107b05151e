//! What a command says: the only place that prints. A command writes to a [`Printer`]; whether that is this process's
//! terminal or the socket of a command that handed its work over, it does not know.

use std::{fmt::Display, io::IsTerminal};

use comfy_table::{ContentArrangement, Table, presets};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON document on standard output.
    Json,
}

/// What one end of a handed-over command tells the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frame {
    /// The owner has taken the command: the first frame. Before it nothing was begun.
    Taken,
    /// For standard output.
    Out(String),
    /// For standard error.
    Err(String),
    /// For the last line of a terminal, replacing what stood there.
    Progress(String),
    /// The same every few seconds, for standard error where that is no terminal.
    Tick(String),
    /// The command's exit code; the last frame.
    Exit(u8),
}

/// Where a command's words go.
#[derive(Debug)]
pub struct Printer {
    format: Format,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Process {
        live: bool,
    },
    Frames(mpsc::Sender<Frame>),
    Nowhere,
    #[cfg(test)]
    Memory(std::sync::Mutex<String>),
}

impl Printer {
    /// Prints to this process's standard output and error.
    pub fn process(format: Format) -> Self {
        Self { format, sink: Sink::Process { live: std::io::stderr().is_terminal() } }
    }

    /// Sends frames to the process that handed the command over; one that does not read holds the command back.
    pub const fn frames(format: Format, frames: mpsc::Sender<Frame>) -> Self {
        Self { format, sink: Sink::Frames(frames) }
    }

    /// Says nothing.
    pub const fn silent() -> Self {
        Self { format: Format::Json, sink: Sink::Nowhere }
    }

    /// The chosen format.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Writes a result: `value` as JSON, or what `table` makes of it.
    pub async fn result<T: Serialize + Sync>(&self, value: &T, table: impl FnOnce(&T) -> String) {
        let text = match self.format {
            Format::Json => serde_json::to_string_pretty(value).expect("results have string keys"),
            Format::Table => table(value),
        };
        self.out(text).await;
    }

    /// Writes lines to standard output.
    pub async fn out(&self, text: impl Display + Send) {
        self.send(Frame::Out(text.to_string())).await;
    }

    /// Writes a remark to standard error: never part of the result.
    pub async fn note(&self, text: impl Display + Send) {
        self.send(Frame::Err(text.to_string())).await;
    }

    /// Shows how far a command is: rewritten in place on a terminal, dropped when the receiver is behind.
    pub fn progress(&self, text: String) {
        match &self.sink {
            Sink::Process { live: true } => show(&Frame::Progress(text)),
            Sink::Process { live: false } | Sink::Nowhere => {}
            // a lost progress line is no loss, so a full channel is no reason to wait
            Sink::Frames(frames) => drop(frames.try_send(Frame::Progress(text))),
            #[cfg(test)]
            Sink::Memory(_) => {}
        }
    }

    /// Says how far a command is to whoever has no terminal: a line every few seconds.
    pub fn tick(&self, text: String) {
        match &self.sink {
            Sink::Process { live } => {
                if !live {
                    show(&Frame::Tick(text));
                }
            }
            Sink::Frames(frames) => drop(frames.try_send(Frame::Tick(text))),
            Sink::Nowhere => {}
            #[cfg(test)]
            Sink::Memory(said) => said.lock().unwrap().push_str(&format!("{:?}\n", Frame::Tick(text))),
        }
    }

    /// A remark in the midst of progress: it takes the place of the line that is rewritten.
    pub fn remark(&self, text: String) {
        self.progress(String::new());
        match &self.sink {
            Sink::Process { .. } => show(&Frame::Err(text)),
            // as for progress: a receiver that is behind holds nothing back
            Sink::Frames(frames) => drop(frames.try_send(Frame::Err(text))),
            Sink::Nowhere => {}
            #[cfg(test)]
            Sink::Memory(said) => said.lock().unwrap().push_str(&format!("{:?}\n", Frame::Err(text))),
        }
    }

    async fn send(&self, frame: Frame) {
        match &self.sink {
            Sink::Process { .. } => show(&frame),
            Sink::Nowhere => {}
            // the other end has gone: its cancellation stops the command, not its output
            Sink::Frames(frames) => drop(frames.send(frame).await),
            #[cfg(test)]
            Sink::Memory(text) => text.lock().unwrap().push_str(&format!("{frame:?}\n")),
        }
    }
}

/// Shows a frame in this process.
pub fn show(frame: &Frame) {
    match frame {
        Frame::Out(text) => anstream::println!("{text}"),
        Frame::Err(text) => anstream::eprintln!("{text}"),
        Frame::Progress(text) if std::io::stderr().is_terminal() => anstream::eprint!("\r\x1b[2K{text}"),
        Frame::Tick(text) if !std::io::stderr().is_terminal() => anstream::eprintln!("{text}"),
        Frame::Taken | Frame::Progress(_) | Frame::Tick(_) | Frame::Exit(_) => {}
    }
}

/// Prints an error that ended the process before or after its command.
pub fn fatal(error: &dyn Display) {
    anstream::eprintln!("error: {error}");
}

/// A plain table: headings, then rows of as many cells.
pub fn table<'h, R: IntoIterator<Item = String>>(
    headings: impl IntoIterator<Item = &'h str>,
    rows: impl IntoIterator<Item = R>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(headings);
    table.add_rows(rows);
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Printer {
        pub(crate) fn memory(format: Format) -> Self {
            Self { format, sink: Sink::Memory(std::sync::Mutex::default()) }
        }
        pub(crate) fn said(&self) -> String {
            match &self.sink {
                Sink::Memory(text) => text.lock().unwrap().clone(),
                _ => String::new(),
            }
        }
    }

    #[tokio::test]
    async fn a_result_is_json_or_a_table_as_asked() {
        let json = Printer::memory(Format::Json);
        json.result(&[1, 2], |_| unreachable!()).await;
        assert_eq!(json.said(), "Out(\"[\\n  1,\\n  2\\n]\")\n");
        let plain = Printer::memory(Format::Table);
        plain.result(&[1, 2], |rows| table(["n"], rows.iter().map(|n| [n.to_string()]))).await;
        assert_eq!(plain.said(), "Out(\" n\\n 1\\n 2\")\n");
    }
}
