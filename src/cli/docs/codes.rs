//! The page of the App API's codes, in both languages. When each comes is told in docs/app-api.md.

use std::fmt::Write as _;

use crate::cli::docs::cell;
use crate::wire::app::Action;
use crate::wire::app::words::{Code, Language};

/// The page.
pub fn page() -> String {
    let mut page = String::from(
        "# Codes of the App API\n\nGenerated from the program. When each comes: [The App API](../app-api.md#codes).\n\n\
         | `Code` | `Message`, `Language: en` | `Message`, `Language: zh` |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        let [en, zh] = [Language::En, Language::Zh].map(|language| code.message(Action::Install, language));
        // Writing to a String can't fail.
        let _ = writeln!(page, "| `{}` | {} | {} |", code.as_str(), cell(&en), cell(&zh));
    }
    page
}
