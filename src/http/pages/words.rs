//! The pages' words in both languages, and which of them a reader wants.

use http::HeaderValue;

/// A language that the pages speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English: also for whoever asks for neither.
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// The language that an `Accept-Language` header ranks first among ours (RFC 9110 section 12.5.4).
    pub fn of(header: Option<&HeaderValue>) -> Self {
        let text = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut best = (Language::English, 0_u32);
        for part in text.split(',').take(32) {
            let mut pieces = part.split(';').map(str::trim);
            let tag = pieces.next().unwrap_or_default().to_ascii_lowercase();
            let weight =
                pieces.find_map(|piece| piece.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            let weight = (f32::clamp(weight, 0.0, 1.0) * 1000.0) as u32;
            let language = match tag.split('-').next() {
                Some("zh") => Language::Chinese,
                Some("en") => Language::English,
                _ => continue,
            };
            if best.1 < weight {
                best = (language, weight);
            }
        }
        best.0
    }

    /// The language's tag.
    pub const fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Chinese => "zh-CN",
        }
    }
}

/// The pages' words.
pub(super) struct Words {
    pub lang: &'static str,
    pub running: &'static str,
    pub live_of: &'static str,
    pub status: &'static str,
    pub api: &'static str,
    pub metrics: &'static str,
    pub nodes: &'static str,
    pub services: &'static str,
    pub name: &'static str,
    pub state: &'static str,
    pub lines: &'static str,
    pub addresses: &'static str,
    pub mode: &'static str,
    pub watchdog: &'static str,
    pub this_node: &'static str,
    pub taken_over: &'static str,
    pub domain_name: &'static str,
    pub provider: &'static str,
    pub changed: &'static str,
    pub none: &'static str,
    pub leader: &'static str,
    pub follower: &'static str,
    pub alive: &'static str,
    pub lost: &'static str,
    pub returning: &'static str,
    pub unseen: &'static str,
    pub ready: &'static str,
    pub not_ready: &'static str,
    pub pending: &'static str,
}

impl Words {
    pub(super) const fn of(language: Language) -> &'static Words {
        match language {
            Language::English => &ENGLISH,
            Language::Chinese => &CHINESE,
        }
    }
}

const ENGLISH: Words = Words {
    lang: "en",
    running: "is running",
    live_of: "Living nodes:",
    status: "Status",
    api: "API",
    metrics: "Metrics",
    nodes: "Nodes",
    services: "Services",
    name: "Name",
    state: "State",
    lines: "Lines",
    addresses: "Public addresses",
    mode: "Mode",
    watchdog: "Last beat",
    this_node: "this node",
    taken_over: "taken over",
    domain_name: "Domain name",
    provider: "DNS platform",
    changed: "configured",
    none: "No services yet",
    leader: "leader",
    follower: "follower",
    alive: "alive",
    lost: "lost",
    returning: "returning",
    unseen: "not seen yet",
    ready: "ready",
    not_ready: "not ready",
    pending: "pending",
};

const CHINESE: Words = Words {
    lang: "zh-CN",
    running: "正在运行",
    live_of: "在线节点：",
    status: "运行状态",
    api: "接口文档",
    metrics: "监控指标",
    nodes: "节点",
    services: "服务",
    name: "名称",
    state: "状态",
    lines: "线路",
    addresses: "公网地址",
    mode: "模式",
    watchdog: "最近心跳",
    this_node: "本节点",
    taken_over: "接管",
    domain_name: "域名",
    provider: "云平台",
    changed: "配置更新于",
    none: "暂无服务",
    leader: "主节点",
    follower: "从节点",
    alive: "在线",
    lost: "离线",
    returning: "恢复中",
    unseen: "尚未发现",
    ready: "正常",
    not_ready: "异常",
    pending: "等待中",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, want: Language) {
        assert_eq!(Language::of(Some(&HeaderValue::try_from(header).unwrap())), want, "{header}");
    }

    #[test]
    fn a_reader_gets_the_language_ranked_first() {
        check("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese);
        check("en-US,en;q=0.9,zh;q=0.8", Language::English);
        check("fr, zh;q=0.1", Language::Chinese);
        check("fr", Language::English);
        check("zh;q=0", Language::English);
        check("zh;q=NaN;;,,=", Language::English);
        check("en;q=0.2, zh;q=0.9", Language::Chinese);
        assert_eq!(Language::of(None), Language::English);
    }
}
