//! Closed vocabularies, spelt as the v1 API and the manifests spell them.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The ISP network from which somebody asks. The order is the order of planning and of every listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Line {
    /// Everyone whom no other line matches; some node must hold it.
    #[serde(rename = "default")]
    Default,
    /// China Telecom.
    CT,
    /// China Unicom.
    CU,
    /// China Mobile.
    CMCC,
    /// China's education network.
    CNEdu,
    /// Outside mainland China.
    OverSea,
}

impl Line {
    /// All lines, in their order.
    pub const ALL: [Line; 6] = [Line::Default, Line::CT, Line::CU, Line::CMCC, Line::CNEdu, Line::OverSea];

    /// The spelling on the wire and in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Line::Default => "default",
            Line::CT => "CT",
            Line::CU => "CU",
            Line::CMCC => "CMCC",
            Line::CNEdu => "CNEdu",
            Line::OverSea => "OverSea",
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A line that is not in the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown line {0:?}: use one of default, CT, CU, CMCC, CNEdu, OverSea")]
pub struct UnknownLine(pub String);

impl FromStr for Line {
    type Err = UnknownLine;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Line::ALL.into_iter().find(|line| line.as_str() == text).ok_or_else(|| UnknownLine(text.to_owned()))
    }
}

/// Whether a node commands the cluster or follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WorkMode {
    /// Holds the configuration and pushes it to the followers.
    #[default]
    Leader,
    /// Takes the leader's configuration and serves on without it.
    Follower,
}

impl WorkMode {
    /// The spelling on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            WorkMode::Leader => "leader",
            WorkMode::Follower => "follower",
        }
    }
}

/// Address families that a node publishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkType {
    /// A records only.
    #[default]
    IPV4,
    /// AAAA records only.
    IPV6,
    /// Both; each family lives and dies by itself.
    Both,
}

impl NetworkType {
    /// Whether the node publishes addresses of `family`.
    pub const fn has(self, family: Family) -> bool {
        matches!(
            (self, family),
            (NetworkType::Both, _) | (NetworkType::IPV4, Family::V4) | (NetworkType::IPV6, Family::V6)
        )
    }
}

/// An address family, with the record type that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Family {
    /// IPv4.
    #[serde(rename = "A")]
    V4,
    /// IPv6.
    #[serde(rename = "AAAA")]
    V6,
}

impl Family {
    /// Both families, in their order.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// The DNS record type that carries an address of this family.
    pub const fn record_type(self) -> &'static str {
        match self {
            Family::V4 => "A",
            Family::V6 => "AAAA",
        }
    }
}

/// What becomes of the records when their ManagedService is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They are removed first.
    #[default]
    Delete,
    /// They stay, with our mark, and are taken up again by a service of the same name.
    Retain,
}

/// Where a service's records live.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum PlatformProvider {
    /// The DNS server inside every node.
    #[default]
    Local,
    /// Alibaba Cloud DNS.
    Ali,
    /// Any name server that takes dynamic updates.
    RFC2136,
}

impl PlatformProvider {
    /// The spelling on the wire and in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            PlatformProvider::Local => "Local",
            PlatformProvider::Ali => "Ali",
            PlatformProvider::RFC2136 => "RFC2136",
        }
    }
}

impl fmt::Display for PlatformProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for PlatformProvider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [PlatformProvider::Local, PlatformProvider::Ali, PlatformProvider::RFC2136]
            .into_iter()
            .find(|provider| provider.as_str() == text)
            .ok_or_else(|| UnknownProvider(text.to_owned()))
    }
}

/// A platform that is not in the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown platformProvider {0:?}: use one of Local, Ali, RFC2136")]
pub struct UnknownProvider(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_as_it_is_written() {
        for line in Line::ALL {
            assert_eq!(line.as_str().parse(), Ok(line));
            assert_eq!(serde_json::to_value(line).unwrap(), line.as_str());
        }
        assert!("telecom".parse::<Line>().is_err());
        assert!("None".parse::<Line>().is_err(), "a node without lines has an empty list");
    }
}
