//! The language of what commands say. Flags, field names and values stay as they are spelt everywhere else.

use clap::{Args, ValueEnum};

/// A language.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Chinese.
    Zh,
}

impl Lang {
    /// The text in this language.
    pub fn pick<'a>(self, en: &'a str, zh: &'a str) -> &'a str {
        match self {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }
}

/// Which language, by flag or by the environment.
#[derive(Debug, Args)]
pub struct LangArgs {
    /// Language of messages; left out: the environment's.
    #[arg(long, global = true, value_enum, env = "COCOASYNCER_LANG", help_heading = "Output")]
    lang: Option<Lang>,
    #[arg(long = "env-lc-all", env = "LC_ALL", hide = true, global = true)]
    lc_all: Option<String>,
    #[arg(long = "env-lc-messages", env = "LC_MESSAGES", hide = true, global = true)]
    lc_messages: Option<String>,
    #[arg(long = "env-lang", env = "LANG", hide = true, global = true)]
    env_lang: Option<String>,
}

impl LangArgs {
    /// The language to speak: the flag's, else what the locale says, in the order that POSIX gives its variables.
    pub fn lang(&self) -> Lang {
        let said = [&self.lc_all, &self.lc_messages, &self.env_lang];
        let locale = said.into_iter().flatten().find(|text| !text.is_empty());
        let of =
            |text: &String| if text.to_ascii_lowercase().starts_with("zh") { Lang::Zh } else { Lang::En };
        self.lang.or(locale.map(of)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_beats_the_locale_and_the_locale_is_read_as_posix_has_it() {
        let of = |lang, all: &str, env: &str| {
            let text = |t: &str| Some(t.to_owned());
            LangArgs { lang, lc_all: text(all), lc_messages: None, env_lang: text(env) }.lang()
        };
        assert_eq!(of(None, "", "zh_CN.UTF-8"), Lang::Zh);
        assert_eq!(of(None, "C", "zh_CN.UTF-8"), Lang::En);
        assert_eq!(of(Some(Lang::En), "", "zh_CN.UTF-8"), Lang::En);
        assert_eq!(of(None, "", ""), Lang::En);
    }
}
