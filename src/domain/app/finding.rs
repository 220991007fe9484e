//! What a check has to say: a code that never changes, where, how bad on each backend, and words in two languages.

use std::collections::BTreeSet;
use std::fmt;

/// How much a finding matters on one backend; the worst decides the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing to say there.
    Fine,
    /// Worth knowing; the template runs as its author meant.
    Note,
    /// It runs, but not in all as its author meant.
    Odd,
    /// It runs only where the operator and the App both allow this right.
    Needs(Right),
    /// It can't run there.
    Cannot,
}

/// A right over the host that a template asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// All rights there are.
    Privileged,
    /// The host's network instead of its own.
    HostNetwork,
    /// The host's processes, IPC, users or control groups.
    HostNamespaces,
    /// The engine's socket, which is root on the host.
    DockerSocket,
    /// Files of the host.
    HostPath,
    /// Capabilities beyond the engine's default set.
    Capabilities,
    /// Devices of the host.
    Devices,
    /// Kernel settings.
    Sysctls,
    /// A sandbox with less than the default confinement.
    Unconfined,
}

impl Right {
    /// All of them.
    pub const ALL: [Right; 9] = [
        Right::Privileged,
        Right::HostNetwork,
        Right::HostNamespaces,
        Right::DockerSocket,
        Right::HostPath,
        Right::Capabilities,
        Right::Devices,
        Right::Sysctls,
        Right::Unconfined,
    ];

    /// Its name, as policies and Apps spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Right::Privileged => "privileged",
            Right::HostNetwork => "host-network",
            Right::HostNamespaces => "host-namespaces",
            Right::DockerSocket => "docker-socket",
            Right::HostPath => "host-path",
            Right::Capabilities => "capabilities",
            Right::Devices => "devices",
            Right::Sysctls => "sysctls",
            Right::Unconfined => "unconfined",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.as_str() == text)
    }
}

/// Where a finding stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, relative to the template's folder.
    pub file: String,
    /// Its line, from 1; none where it is not known.
    pub line: Option<u64>,
    /// The service, where it belongs to one.
    pub service: Option<String>,
    /// The key, below the service or of the file, with dots: `healthcheck.test`.
    pub key: Option<String>,
}

impl Place {
    /// A whole file.
    pub fn file(file: impl Into<String>) -> Self {
        Self { file: file.into(), ..Self::default() }
    }

    /// A line of a file and the key that stands there.
    pub fn line(file: impl Into<String>, line: u64, key: &str) -> Self {
        Self { file: file.into(), line: Some(line), service: None, key: Some(key.to_owned()) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        let below: Vec<&str> = self.service.iter().chain(&self.key).map(String::as_str).collect();
        if !below.is_empty() {
            write!(f, " {}", below.join("."))?;
        }
        Ok(())
    }
}

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What it is.
    pub code: Code,
    /// Where it stands.
    pub place: Place,
    /// What it is about: a variable, a path, a value. Never the value of a variable.
    pub subject: String,
    /// What it means on a Docker engine.
    pub docker: Effect,
    /// What it means in a Kubernetes cluster.
    pub kubernetes: Effect,
}

impl Finding {
    /// A finding that means the same on both backends.
    pub fn both(code: Code, effect: Effect, place: Place, subject: impl Into<String>) -> Self {
        Self { code, place, subject: clipped(subject.into()), docker: effect, kubernetes: effect }
    }

    /// A finding that means `docker` on Docker and `kubernetes` on Kubernetes.
    pub fn each(
        code: Code,
        (docker, kubernetes): (Effect, Effect),
        place: Place,
        subject: impl Into<String>,
    ) -> Self {
        Self { docker, kubernetes, ..Self::both(code, Effect::Fine, place, subject) }
    }

    /// The finding in English and in Chinese.
    pub fn words(&self) -> (String, String) {
        let (en, zh) = self.code.words();
        (en.replacen("{}", &self.subject, 1), zh.replacen("{}", &self.subject, 1))
    }
}

/// Templates are somebody else's: what is repeated of them is bounded and stays in its line.
fn clipped(text: String) -> String {
    const LONGEST: usize = 120;
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let clipped: String = text.chars().take(LONGEST).map(plain).collect();
    if text.chars().nth(LONGEST).is_some() { format!("{clipped}…") } else { clipped }
}

/// What a check answers, bounded: a bad template must not flood its reader, nor tell a secret.
#[derive(Debug, Default)]
pub struct Findings {
    all: Vec<Finding>,
    secrets: Vec<String>,
    seen: BTreeSet<(Code, Option<String>, String)>,
}

impl Findings {
    const MOST: usize = 500;

    /// Masks `secrets` in all that is added from now on.
    pub fn mask(&mut self, secrets: impl Iterator<Item = String>) {
        self.secrets.extend(secrets);
    }

    /// Adds a finding, once for a service and subject.
    pub fn add(&mut self, mut finding: Finding) {
        for secret in &self.secrets {
            finding.subject = finding.subject.replace(secret, "***");
        }
        let key = (finding.code, finding.place.service.clone(), finding.subject.clone());
        if self.all.len() < Self::MOST && self.seen.insert(key) {
            self.all.push(finding);
        }
    }

    /// All of them, in the order of the files.
    pub fn sorted(mut self) -> Vec<Finding> {
        self.all.sort_by(|a, b| (&a.place, a.code).cmp(&(&b.place, b.code)));
        self.all
    }

    /// Turns what was found of `service` into notes: nobody starts it.
    pub fn soften(&mut self, service: &str) {
        for found in self.all.iter_mut().filter(|found| found.place.service.as_deref() == Some(service)) {
            found.docker = found.docker.min(Effect::Note);
            found.kubernetes = found.kubernetes.min(Effect::Note);
        }
    }
}

macro_rules! codes {
    ($($name:ident $code:literal $en:literal $zh:literal;)*) => {
        /// The kinds of findings.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code { $(#[doc = $en] $name),* }

        impl Code {
            /// All of them.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// Its name, which never changes.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code),* }
            }

            /// English and Chinese, with `{}` for the subject.
            fn words(self) -> (&'static str, &'static str) {
                match self { $(Code::$name => ($en, $zh)),* }
            }
        }
    };
}

codes! {
    Unreadable "unreadable" "can't be read: {}" "无法读取:{}";
    TooLarge "too-large" "too large: {}" "过大:{}";
    Missing "missing-file" "the file is missing: {}" "缺少文件:{}";
    AppName "app-name" "{} is no name for an application: lower-case letters, digits and inner hyphens, at most 63" "{} 不能作为应用名称:只能使用小写字母、数字和中间的连字符,最多 63 个字符";
    SymlinkLeaves "symlink-leaves" "the symbolic link {} leads out of the template's folder" "符号链接 {} 指向模板目录之外";
    EnvSyntax "env-syntax" "not a line of an .env file: {}" ".env 语法错误:{}";
    DuplicateKey "duplicate-key" "{} is set twice: the last one holds" "{} 重复设置:以最后一次为准";
    NotYaml "not-yaml" "not readable as YAML: {}" "无法按 YAML 读取:{}";
    Interpolation "interpolation" "a variable can't be put in: {}" "变量替换失败:{}";
    Undefined "undefined-variable" "variable {} is set nowhere: it is taken as empty" "变量 {} 未定义:按空值处理";
    Required "required-variable" "variable {} must be set and is not" "必填变量 {} 未设置";
    Quoted "quoted-reference" "{} stands in single quotes, so the variable inside stays as it is written" "{} 位于单引号中,其中的变量不会被替换";
    LiteralSecret "literal-secret" "{} holds the same secret on every install" "{} 的密钥在每次安装中都相同";
    Metadata "metadata" "{}" "{}";
    Unreleased "unreleased" "{} is not released by its author" "{} 尚未由作者发布";
    NameDiffers "name-differs" "the folder's name is not the name inside: {}" "目录名与内部名称不一致:{}";
    VersionUnlisted "version-not-listed" "the default version {} is not among the listed ones" "默认版本 {} 不在版本列表中";
    VersionUnused "version-unused" "{} chooses the version, but no image uses it" "{} 用于选择版本,但没有镜像使用它";
    BadPort "bad-port" "not a port: {}" "不是有效端口:{}";
    WebPort "web-port" "no service has the web port {}" "没有服务提供 Web 端口 {}";
    UnknownKey "unknown-key" "{} is no key of compose: left out" "{} 不是 compose 的键:已忽略";
    LeftOut "left-out" "{} is left out: it changes nothing there" "{} 已忽略:不影响运行";
    NotHonoured "not-honoured" "{} is not honoured" "不支持 {}";
    NotResolved "not-resolved" "{} of other files is not followed" "不解析引用其他文件的 {}";
    WrongType "wrong-type" "{}" "类型错误:{}";
    BadValue "bad-value" "{}" "值无效:{}";
    NoServices "no-services" "there is no service to run: {}" "没有可运行的服务:{}";
    NoImage "no-image" "service {} names no image" "服务 {} 未指定镜像";
    Build "build" "images are pulled and never built: {}" "镜像只拉取、不构建:{}";
    BadImage "bad-image" "not an image reference: {}" "镜像引用无效:{}";
    FloatingTag "floating-tag" "{} is another image tomorrow" "{} 的内容随时间变化";
    Profile "inactive-profile" "service {} is not started: none of its profiles is chosen" "服务 {} 不启动:未选择其 profile";
    UnknownService "unknown-service" "there is no service {}" "不存在服务 {}";
    InactiveService "inactive-service" "service {} is needed, but none of its profiles is chosen" "需要服务 {},但未选择其 profile";
    Cycle "cycle" "services wait for each other: {}" "服务互相等待:{}";
    UnknownVolume "unknown-volume" "volume {} is not declared" "卷 {} 未声明";
    UnknownNetwork "unknown-network" "network {} is not declared" "网络 {} 未声明";
    UnknownFile "unknown-config" "config or secret {} is not declared" "config 或 secret {} 未声明";
    ExternalNetwork "external-network" "network {} is somebody else's: the application has its own instead" "网络 {} 属于他人:应用改用自己的网络";
    ExternalVolume "external-volume" "volume {} must exist before: nobody makes it here" "卷 {} 须事先存在,此处不会创建";
    SharedVolume "shared-volume" "volume {} has several users, who are placed on one node" "卷 {} 被多个服务使用,它们将位于同一节点";
    VolumeDriver "volume-driver" "the volume driver {} is not honoured" "不支持卷驱动 {}";
    PathLeaves "path-leaves" "{} leads out of the template's folder" "{} 指向模板目录之外";
    MissingBind "missing-bind" "{} is not in the template: an empty folder stands in" "模板中没有 {}:以空目录代替";
    ConfigTooLarge "config-too-large" "{} is larger than the 1 MiB that a ConfigMap holds" "{} 超过 ConfigMap 的 1 MiB 上限";
    WritableFolder "writable-folder" "{} is written to: a cluster copies it into a volume first" "{} 可写:集群中先复制到卷";
    MountMode "mount-mode" "unknown mount option {}: left out" "未知挂载选项 {}:已忽略";
    HostClock "host-clock" "{} of the host is not mounted: set TZ instead" "不挂载主机的 {}:请改用 TZ";
    HostPath "host-path" "it mounts {} of the host" "挂载主机路径 {}";
    DockerSocket "docker-socket" "it gets the Docker engine through {}, which is root on the host" "通过 {} 控制 Docker 引擎,等同主机 root";
    Privileged "privileged" "service {} has all rights over the host" "服务 {} 拥有主机全部权限";
    HostNetwork "host-network" "service {} uses the host's network" "服务 {} 使用主机网络";
    HostNamespace "host-namespace" "it shares the host's {}" "共享主机的 {}";
    OtherContainer "other-container" "it joins {}, which is no part of the template" "加入不属于模板的 {}";
    Capability "capability" "it wants the capability {}" "需要能力 {}";
    Device "device" "it wants the device {}" "需要设备 {}";
    Sysctl "sysctl" "it sets the kernel's {}" "设置内核参数 {}";
    Unconfined "unconfined" "it weakens its sandbox: {}" "削弱沙箱:{}";
    Gpu "gpu" "it wants a device of the kind {}" "需要 {} 类设备";
    PortClash "port-clash" "port {} is published twice: the second gets the next free one" "端口 {} 重复发布:后者改用下一个空闲端口";
    HostAddress "host-address" "publishing on the address {} is not honoured" "不支持在地址 {} 上发布";
    HostGateway "host-gateway" "{}: a cluster has no such address" "{}:集群中没有此地址";
    FixedAddress "fixed-address" "the fixed address {} is not honoured" "不支持固定地址 {}";
    NameTaken "name-taken" "two containers are named {}" "两个容器同名 {}";
    NotDns "not-a-dns-name" "{} can't be a name in a cluster's DNS: siblings find it under another" "{} 不能作为集群 DNS 名称:将使用其他名称";
    UserName "user-by-name" "user {} is a name, and a cluster needs its number" "用户 {} 为名称,集群需要数字 ID";
    UnknownVariable "unknown-variable" "the template has no variable {}" "模板中没有变量 {}";
    ReservedVariable "reserved-variable" "{} is set by the install and not by its user" "{} 由安装过程设置,不能由用户设置";
    UnknownVersion "unknown-version" "version {} is not among those that the template lists" "模板未列出版本 {}";
    NameTooLong "name-too-long" "{} is longer than the 63 characters of a name in DNS" "{} 超过 DNS 名称的 63 个字符上限";
    SiblingName "sibling-name" "{} is how siblings call it, and no name that a cluster's DNS can have" "其他服务以 {} 访问它,而集群 DNS 不支持该名称";
    NoHealth "no-health-check" "others wait until service {} is healthy, and it has no health check of its own" "其他服务等待服务 {} 健康,但它没有健康检查";
    NoProbe "nothing-to-probe" "no health check and no port in {}: that it runs is all that can be told" "{} 没有健康检查也没有端口:只能判断进程是否运行";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_have_words_with_one_subject() {
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let (en, zh) = code.words();
            assert!(en.matches("{}").count() == 1 && zh.matches("{}").count() == 1, "{code:?}");
            assert!(!en.ends_with('.') && !zh.ends_with('。'), "{code:?}");
        }
    }

    #[test]
    fn what_a_template_says_is_repeated_in_one_short_line() {
        let long = format!("a\nb\u{1b}[31m{}", "x".repeat(1000));
        let finding = Finding::both(Code::BadValue, Effect::Odd, Place::file("x"), long);
        assert!(finding.subject.chars().count() <= 121 && !finding.subject.contains(['\n', '\u{1b}']));
    }

    #[test]
    fn a_right_reads_as_it_is_spelt() {
        for right in Right::ALL {
            assert_eq!(Right::parse(right.as_str()), Some(right));
        }
        assert_eq!(Right::parse("root"), None);
    }
}
