//! The App API's codes and their words. The Chinese of a documented code stands as the document has it, letter for letter;
//! the English is ours, but for `Requirement.NotEnough`, whose English stands in the document's sample.

use std::borrow::Cow;

use crate::wire::app::Action;

/// The language of `Message`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Language {
    /// Chinese, the document's own.
    #[default]
    Zh,
    /// English.
    En,
}

impl Language {
    /// Reads the header `Language`; whatever is not English is Chinese, as for callers who send none.
    pub fn of(header: Option<&[u8]>) -> Self {
        match header.map(<[u8]>::trim_ascii_start) {
            Some([b'e' | b'E', b'n' | b'N', ..]) => Language::En,
            _ => Language::Zh,
        }
    }

    /// The text in this language.
    pub fn pick<'a>(self, zh: &'a str, en: &'a str) -> &'a str {
        match self {
            Language::Zh => zh,
            Language::En => en,
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident $code:literal $zh:literal $en:literal;)*) => {
        /// Why a call failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $($(#[doc = $doc])+ $name),* }

        impl Code {
            /// All of them.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// As it is spelt.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code),* }
            }

            /// Chinese and English.
            const fn words(self) -> (&'static str, &'static str) {
                match self { $(Code::$name => ($zh, $en)),* }
            }
        }
    };
}

codes! {
    /// No `app_name`.
    AppNameBlank "Param.AppName.Blank" "APP名称为空" "The app name is empty.";
    /// The catalogue has no such application, or its template can't run here. Spelt so.
    AppNameNotExis "Param.AppName.NotExis" "不支持安装指定的App" "This app can't be installed here.";
    /// No `customer_app_name`.
    CustomerAppNameBlank "Param.CustomerAppName.Blank" "用户自定义APP名称为空" "The customer app name is empty.";
    /// Anything but digits and lower-case letters, or more than 63 of them.
    CustomerAppNameFormatError "Param.CustomerAppName.FormatError" "用户自定义APP名称只能是数字和小写字母组成"
        "The customer app name may hold digits and lower-case letters only.";
    /// Installed already under that name.
    CustomerAppNameRepeat "Param.CustomerAppName.Repeat" "已经安装了此应用,请重新指定APP名称"
        "An app is installed under this name already: choose another name.";
    /// An install under that name is queued.
    CustomerAppNameWait "Param.CustomerAppName.Wait" "同名应用已经在安装等待中,请重新指定APP名称"
        "An app of this name waits to be installed already: choose another name.";
    /// No `app_version`.
    AppVersionBlank "Param.AppVersion.Blank" "安装App的版本不能为空" "The app version must not be empty.";
    /// The catalogue lists no such version. Beyond the document.
    AppVersionNotExist "Param.AppVersion.NotExist" "不支持安装指定的App版本" "The app has no such version.";
    /// Too little CPU, memory or disk.
    RequirementNotEnough "Requirement.NotEnough" "系统资源(cpu,内存,磁盘空间)不足"
        "Insufficient system resources (cpu, memory, disk space).";
    /// No `app_id`.
    AppIdBlank "Param.APPID.Blank" "APP_ID 不能为空" "The APP_ID must not be empty.";
    /// Anything but digits and lower-case letters.
    AppIdFormatError "Param.APPID.FormatError" "APP_ID 只能是数字和小写字母组成"
        "The APP_ID may hold digits and lower-case letters only.";
    /// No such application.
    AppIdNotExist "Param.APPID.NotExist" "APP不存在" "There is no such app.";
    /// The request can't be read. Of the document's common codes.
    FormatError "Parameter.Format.Error" "请求格式错误" "The request can't be read.";
    /// A parameter has a value that it can't have. Of the document's common codes.
    ValueError "Parameter.Value.Error" "参数值错误" "A parameter has a wrong value.";
    /// No fault of the caller's. Of the document's common codes.
    SystemError "SystemError" "系统错误,请稍后重试" "System error: try again later.";
    /// The caller brings no token. Beyond the document.
    TokenMissing "Auth.Token.Missing" "缺少访问令牌" "A bearer token is needed.";
    /// The caller's token is nobody's. Beyond the document.
    TokenWrong "Auth.Token.Wrong" "访问令牌无效" "The token is not valid.";
    /// The caller is not the gateway that asks for us. Beyond the document.
    CallerWrong "Auth.Caller.Wrong" "只接受来自 API 网关的调用" "Only the gateway in front may call.";
    /// The caller's token may read only. Beyond the document.
    TokenScope "Auth.Token.Scope" "访问令牌没有操作权限" "The token may only read.";
}

impl Code {
    /// Its words. The document writes `APP_ID` with a blank behind it in some tables and without in others.
    pub fn message(self, action: Action, language: Language) -> Cow<'static, str> {
        let (zh, en) = self.words();
        let joined = matches!(action, Action::Restart | Action::Start | Action::Stop);
        match language {
            Language::En => en.into(),
            Language::Zh if joined => zh.replace("APP_ID ", "APP_ID").into(),
            Language::Zh => zh.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_have_words_in_both_languages() {
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let (zh, en) = code.words();
            assert!(!zh.is_ascii() && en.is_ascii() && en.ends_with('.'), "{code:?}");
        }
    }

    #[test]
    fn the_language_is_chinese_unless_english_is_asked_for() {
        for (header, expect) in [
            (None, Language::Zh),
            (Some("zh"), Language::Zh),
            (Some("zh-CN"), Language::Zh),
            (Some("en"), Language::En),
            (Some(" EN-us"), Language::En),
            (Some(""), Language::Zh),
            (Some("fr"), Language::Zh),
        ] {
            assert_eq!(Language::of(header.map(str::as_bytes)), expect, "{header:?}");
        }
    }
}
