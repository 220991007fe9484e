//! Stand-in.
/// One field's refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Path.
    pub field: String,
    /// metav1 reason.
    pub reason: &'static str,
    /// Text.
    pub message: String,
}
