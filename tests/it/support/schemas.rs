//! Objects against Kubernetes' own schemas, strictly, for every version that is supported.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Versions that are validated against.
const VERSIONS: &[&str] = &["1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37"];

/// Asserts that each of the objects, of Kubernetes' own kinds, is valid for all versions. One that is wrong goes along and
/// must be refused by each: a validator that takes everything proves nothing.
pub fn assert_valid(mut objects: Vec<Value>) {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools");
    let output = Command::new(tools.join("kubernetes_validate.sh")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let python = String::from_utf8(output.stdout).unwrap();
    let mut wrong = objects.iter().find(|object| object["kind"] == "Deployment").unwrap().clone();
    wrong["spec"]["template"]["spec"]["bogus"] = Value::from(1);
    wrong["metadata"]["name"] = Value::from("wrong");
    objects.push(wrong);
    let mut child = Command::new(python.trim())
        .arg(tools.join("objects_valid.py"))
        .args(VERSIONS)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = objects.iter().map(|object| format!("{object}\n")).collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    let (wrong, others): (Vec<&str>, Vec<&str>) =
        said.lines().partition(|line| line.contains("Deployment wrong"));
    assert_eq!(wrong.len(), VERSIONS.len(), "{wrong:?}");
    assert_eq!(others, [format!("checked {}", objects.len() * VERSIONS.len())]);
}
