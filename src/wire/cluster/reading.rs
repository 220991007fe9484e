//! How the documents are read: tolerantly, bounded, and with the path of what is wrong.

use serde_json::Value;

use super::{
    Answer, BasicExtension, CocoaBasic, Glance, MAX_ACCOUNT_DATA, MAX_NODES, MAX_PLATFORMS, MAX_SERVICES,
    NodeExtension, NodeInfo, Platform, PlatformExtension, Request, Service, ServiceExtension,
};
use crate::api::node::CocoaNodeSpec;
use crate::api::service::ManagedServiceSpec;
use crate::api::vocab::Family;
use crate::domain::addresses::family;
use crate::domain::cluster::Addresses;
use crate::domain::names::FieldError;
use crate::domain::secret::Secret;
use crate::wire::read::{Field, ReadError, document};

impl Request {
    /// Reads a request. Only its syntax is judged here: whoever has no right learns nothing of the rest.
    pub fn read(text: &[u8]) -> Result<Self, ReadError> {
        let blank = text.iter().all(u8::is_ascii_whitespace);
        let body = if blank { Value::Null } else { document(text)? };
        let root = Field::root(&body);
        root.object()?;
        let secret = root.get("cocoaSecret").secret().unwrap_or_default();
        let beat_only = root.get("beatOnly").flag().unwrap_or_default();
        Ok(Self { secret, beat_only, body })
    }

    /// Reads a request of which only the secret and the scope count, without building its document where that is easy.
    pub fn read_plain(text: &[u8]) -> Result<(Secret, bool), ReadError> {
        match serde_json::from_slice::<Glance>(text) {
            Ok(Glance { cocoa_secret, beat_only }) => Ok((Secret::new(cocoa_secret), beat_only)),
            // Oddly shaped, or no JSON: the careful reader says which.
            Err(_) => Self::read(text).map(|request| (request.secret, request.beat_only)),
        }
    }

    /// The document it carries.
    pub fn basic(&self) -> Result<CocoaBasic, FieldError> {
        let field = Field::root(&self.body).get("cocoaBasic");
        if field.is_null() {
            return Err(field.refuse("must be given"));
        }
        CocoaBasic::read(&field)
    }
}

impl Answer {
    /// Reads an answer; a missing document is an empty one.
    pub fn read(text: &[u8]) -> Result<Self, ReadError> {
        let body = document(text)?;
        let root = Field::root(&body);
        root.object()?;
        let code = root.get("statusCode");
        if code.is_null() {
            return Err(code.refuse("must be given").into());
        }
        Ok(Self {
            status_code: status_code(&code)?,
            status_string: root.get("statusString").text()?,
            cocoa_basic: CocoaBasic::read(&root.get("cocoaBasic"))?,
        })
    }
}

impl CocoaBasic {
    /// Reads a document.
    pub fn read(at: &Field<'_>) -> Result<Self, FieldError> {
        at.object()?;
        let nodes = at.get("otherCocoaSyncer").list(MAX_NODES)?;
        let platforms = at.get("cloudPlatformInfo").list(MAX_PLATFORMS)?;
        Ok(Self {
            api_port: small(&at.get("apiPort"), u16::MAX.into())? as u16,
            node_name: at.get("nodeName").text()?,
            node_code: at.get("nodeCode").text()?,
            node_address: at.get("nodeAddress").text()?,
            work_mode: at.get("workMode").text()?,
            cocoa_secret: at.get("cocoaSecret").secret()?,
            reverse_proxy: at.get("reverseProxy").flag()?,
            other_cocoa_syncer: nodes.iter().map(NodeInfo::read).collect::<Result<_, _>>()?,
            cocoa_managed_service: services(&at.get("cocoaManagedService"))?,
            cloud_platform_info: platforms.iter().map(Platform::read).collect::<Result<_, _>>()?,
            timeout: small(&at.get("timeout"), u32::MAX)?,
            database_type: at.get("DataBaseType").text()?,
            dsn: at.get("Dsn").secret()?,
            created_at: at.get("createdAt").time()?,
            updated_at: at.get("updatedAt").time()?,
            config_imported: at.get("configImported").flag()?,
            operator: extension(&at.get("operator"), BasicExtension::read)?,
        })
    }
}

impl BasicExtension {
    fn read(at: &Field<'_>) -> Result<Self, FieldError> {
        Ok(Self {
            version: at.get("version").text()?,
            generation: at.get("generation").number(u64::MAX)?,
            owner: at.get("owner").text()?,
        })
    }
}

impl NodeInfo {
    fn read(at: &Field<'_>) -> Result<Self, FieldError> {
        at.object()?;
        Ok(Self {
            node_name: at.get("nodeName").text()?,
            node_code: at.get("nodeCode").text()?,
            node_address: at.get("nodeAddress").text()?,
            work_mode: at.get("workMode").text()?,
            cocoa_secret: at.get("cocoaSecret").secret()?,
            isps: at.get("ISPs").list(64)?.iter().map(Field::text).collect::<Result<_, _>>()?,
            network_type: at.get("networkType").text()?,
            status_code: status_code(&at.get("statusCode"))?,
            watch_dog: at.get("watchDog").time()?,
            cocoa_managed_service: services(&at.get("cocoaManagedService"))?.into(),
            operator: extension(&at.get("operator"), NodeExtension::read)?,
        })
    }
}

impl NodeExtension {
    fn read(at: &Field<'_>) -> Result<Self, FieldError> {
        let mut public_addresses = Addresses::new();
        for wanted in Family::ALL {
            for item in at.get("publicAddresses").get(wanted.record_type()).list(64)? {
                let address = item.text()?.parse().map_err(|_| item.refuse("must be an IP address"))?;
                if family(address) != wanted {
                    return Err(item.refuse(format!("must be an address for {}", wanted.record_type())));
                }
                public_addresses.entry(wanted).or_default().insert(address);
            }
        }
        Ok(Self {
            object: at.get("object").text()?,
            public_addresses,
            heartbeat_seconds: small(&at.get("heartbeatSeconds"), 86_400)?,
            spec: at.get("spec").value().clone(),
        })
    }

    /// The spec, where there is one; `path` is where this extension stands.
    pub fn spec(&self, path: &str) -> Result<Option<CocoaNodeSpec>, FieldError> {
        typed(&self.spec, path)
    }
}

impl Service {
    fn read(at: &Field<'_>) -> Result<Self, FieldError> {
        at.object()?;
        Ok(Self {
            service_name: at.get("serviceName").text()?,
            domain: at.get("domain").text()?,
            record: at.get("record").text()?,
            platform_provider: at.get("platformProvider").text()?,
            operator: extension(&at.get("operator"), ServiceExtension::read)?,
        })
    }
}

impl ServiceExtension {
    fn read(at: &Field<'_>) -> Result<Self, FieldError> {
        Ok(Self {
            namespace: at.get("namespace").text()?,
            name: at.get("name").text()?,
            spec: at.get("spec").value().clone(),
            release: at.get("release").text()?,
            adopt: at.get("adopt").flag()?,
        })
    }

    /// The spec, where there is one; `path` is where this extension stands.
    pub fn spec(&self, path: &str) -> Result<Option<ManagedServiceSpec>, FieldError> {
        typed(&self.spec, path)
    }
}

impl Platform {
    fn read(at: &Field<'_>) -> Result<Self, FieldError> {
        at.object()?;
        Ok(Self {
            platform_provider: at.get("platformProvider").text()?,
            access_key: at.get("accessKey").secret()?,
            access_secret: at.get("accessSecret").secret()?,
            operator: extension(&at.get("operator"), PlatformExtension::read)?,
        })
    }
}

impl PlatformExtension {
    fn read(at: &Field<'_>) -> Result<Self, FieldError> {
        let data = at.get("data").members(MAX_ACCOUNT_DATA)?;
        Ok(Self {
            namespace: at.get("namespace").text()?,
            name: at.get("name").text()?,
            data: data
                .iter()
                .map(|(key, value)| Ok(((*key).to_owned(), value.secret()?)))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn extension<T>(
    at: &Field<'_>,
    read: impl Fn(&Field<'_>) -> Result<T, FieldError>,
) -> Result<Option<T>, FieldError> {
    at.object()?;
    if at.is_null() { Ok(None) } else { read(at).map(Some) }
}

fn services(at: &Field<'_>) -> Result<Vec<Service>, FieldError> {
    at.list(MAX_SERVICES)?.iter().map(Service::read).collect()
}

fn small(at: &Field<'_>, most: u32) -> Result<u32, FieldError> {
    at.number(most.into()).map(|number| number as u32)
}

fn status_code(at: &Field<'_>) -> Result<i32, FieldError> {
    at.number(999).map(|number| number as i32)
}

fn typed<T: serde::de::DeserializeOwned>(value: &Value, path: &str) -> Result<Option<T>, FieldError> {
    if value.is_null() {
        return Ok(None);
    }
    // A spec holds no secret, so the reader's own words may be repeated.
    T::deserialize(value).map(Some).map_err(|err| FieldError::new(format!("{path}.spec"), err.to_string()))
}
