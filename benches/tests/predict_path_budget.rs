//! The hot path's budget, held: the bench that counts fails above the numbers of ARCHITECTURE.md.

use std::process::Command;

#[test]
fn one_predict_stays_within_its_budget_of_allocations_copies_and_system_calls() {
    let page = include_str!("../../ARCHITECTURE.md").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        page.contains("at most 40 allocations, 20 system calls and 14 KiB copied (192 KiB in the dev profile"),
        "the page and the bench have other budgets"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_predict_path")).args(["--rounds", "3"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let result: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    for figure in ["allocations_per_request", "copied_bytes_per_request", "syscalls_per_request"] {
        assert!(result["figures"][figure].as_f64().unwrap() > 0.0, "{figure} was not counted: {result}");
    }
}
