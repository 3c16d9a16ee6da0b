//! Settings: the cloud controller of OpenStack; the cloud controller of Oracle; the cloud controller of
//! Huawei; the cloud controller of Hetzner; the cloud controller of vSphere.

mod storage;

pub use storage::*;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::choices::OracleSecurityListMode;
use crate::types::{Duration, JsonMap, Secret};

/// The cloud controller of OpenStack.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct OpenStack {
    /// Enable legacy OpenStack LBaaS settings.
    pub openstack_lbaas_enabled: bool,
    /// Enable load balancers in OpenStack controller.
    pub external_openstack_lbaas_enabled: bool,
    /// Hide IPv6 addresses of OpenStack nodes.
    pub external_openstack_network_ipv6_disabled: bool,
    /// OpenStack networks treated as internal.
    pub external_openstack_network_internal_networks: Vec<String>,
    /// OpenStack networks treated as public.
    pub external_openstack_network_public_networks: Vec<String>,
    /// Image repository of external OpenStack cloud controller.
    pub external_openstack_cloud_controller_image_repo: String,
    /// Image tag of external OpenStack cloud controller.
    pub external_openstack_cloud_controller_image_tag: String,
    /// OpenStack identity URL.
    pub external_openstack_auth_url: String,
    /// OpenStack user.
    pub external_openstack_username: Option<String>,
    /// OpenStack password.
    pub external_openstack_password: Option<Secret>,
    /// OpenStack application credential id.
    pub external_openstack_application_credential_id: Option<String>,
    /// OpenStack application credential name.
    pub external_openstack_application_credential_name: Option<String>,
    /// OpenStack application credential secret.
    pub external_openstack_application_credential_secret: Option<Secret>,
    /// OpenStack region.
    pub external_openstack_region: Option<String>,
    /// OpenStack project id.
    pub external_openstack_tenant_id: Option<String>,
    /// OpenStack project name.
    pub external_openstack_tenant_name: Option<String>,
    /// OpenStack user domain name.
    pub external_openstack_domain_name: Option<String>,
    /// OpenStack user domain id.
    pub external_openstack_domain_id: Option<String>,
    /// CA bundle for OpenStack controller.
    pub external_openstack_cacert: String,
    /// Extra arguments of external OpenStack cloud controller.
    pub external_openstack_cloud_controller_extra_args: JsonMap,
    /// OpenStack controller listen address.
    pub external_openstack_cloud_controller_bind_address: IpAddr,
    /// DNS policy of OpenStack controller pods.
    pub external_openstack_cloud_controller_dns_policy: String,
    /// Subnet of load balancer members.
    pub external_openstack_lbaas_member_subnet_id: Option<String>,
    /// Floating IP network for load balancers.
    pub external_openstack_lbaas_floating_network_id: Option<String>,
    /// Floating IP subnet for load balancers.
    pub external_openstack_lbaas_floating_subnet_id: Option<String>,
    /// Load balancing algorithm.
    pub external_openstack_lbaas_method: Option<String>,
    /// Octavia provider.
    pub external_openstack_lbaas_provider: Option<String>,
    /// Subnet for load balancer VIPs.
    pub external_openstack_lbaas_subnet_id: Option<String>,
    /// Network for load balancer VIPs.
    pub external_openstack_lbaas_network_id: Option<String>,
    /// Manage security groups automatically.
    pub external_openstack_lbaas_manage_security_groups: Option<bool>,
    /// Create health monitors.
    pub external_openstack_lbaas_create_monitor: Option<bool>,
    /// Health monitor delay.
    pub external_openstack_lbaas_monitor_delay: Option<Duration>,
    /// Health monitor retries.
    pub external_openstack_lbaas_monitor_max_retries: Option<i64>,
    /// Health monitor timeout.
    pub external_openstack_lbaas_monitor_timeout: Option<Duration>,
    /// Create internal load balancers.
    pub external_openstack_lbaas_internal_lb: Option<bool>,
    /// Metadata source order.
    pub external_openstack_metadata_search_order: Option<String>,
    /// Services sharing one load balancer.
    pub external_openstack_max_shared_lb: Option<i64>,
    /// Host name suffix of load balancers.
    pub external_openstack_ingress_hostname_suffix: Option<String>,
    /// Report host name instead of address.
    pub external_openstack_enable_ingress_hostname: Option<bool>,
}

/// The cloud controller of Oracle.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Oracle {
    /// Oracle cloud region.
    pub external_oracle_auth_region: Option<String>,
    /// Oracle tenancy OCID.
    pub external_oracle_auth_tenancy: Option<String>,
    /// Oracle user OCID.
    pub external_oracle_auth_user: Option<String>,
    /// Oracle API private key.
    pub external_oracle_auth_key: Option<Secret>,
    /// Passphrase of Oracle API key.
    pub external_oracle_auth_passphrase: Option<Secret>,
    /// Fingerprint of Oracle API key.
    pub external_oracle_auth_fingerprint: Option<String>,
    /// Authenticate with instance principals.
    pub external_oracle_auth_use_instance_principals: bool,
    /// Oracle compartment OCID.
    pub external_oracle_compartment: Option<String>,
    /// Oracle virtual network OCID.
    pub external_oracle_vcn: Option<String>,
    /// First load balancer subnet OCID.
    pub external_oracle_load_balancer_subnet1: Option<String>,
    /// Second load balancer subnet OCID.
    pub external_oracle_load_balancer_subnet2: Option<String>,
    /// Which security lists controller manages.
    pub external_oracle_load_balancer_security_list_management_mode: OracleSecurityListMode,
    /// Security list per subnet.
    pub external_oracle_load_balancer_security_lists: JsonMap,
    /// Oracle API read rate.
    pub external_oracle_ratelimiter_qps_read: f64,
    /// Oracle API read burst.
    pub external_oracle_ratelimiter_bucket_read: i64,
    /// Oracle API write rate.
    pub external_oracle_ratelimiter_qps_write: f64,
    /// Oracle API write burst.
    pub external_oracle_ratelimiter_bucket_write: i64,
    /// Image repository of external oracle cloud controller.
    pub external_oracle_cloud_controller_image_repo: String,
    /// Image tag of external oracle cloud controller.
    pub external_oracle_cloud_controller_image_tag: String,
    /// Security list map read by Oracle controller template.
    pub external_oracle_security_lists: Option<JsonMap>,
}

/// The cloud controller of Huawei.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Huawei {
    /// Huawei identity URL.
    pub external_huaweicloud_auth_url: String,
    /// Huawei access key.
    pub external_huaweicloud_access_key: Option<Secret>,
    /// Huawei secret key.
    pub external_huaweicloud_secret_key: Option<Secret>,
    /// Huawei region.
    pub external_huaweicloud_region: Option<String>,
    /// Huawei project id.
    pub external_huaweicloud_project_id: Option<String>,
    /// Huawei cloud name.
    pub external_huaweicloud_cloud: Option<String>,
    /// Extra arguments of external huawei cloud controller.
    pub external_huawei_cloud_controller_extra_args: JsonMap,
    /// Image repository of external huawei cloud controller.
    pub external_huawei_cloud_controller_image_repo: String,
    /// Image tag of external huawei cloud controller.
    pub external_huawei_cloud_controller_image_tag: String,
    /// Huawei load balancer subnet id.
    pub external_huaweicloud_lbaas_subnet_id: Option<String>,
    /// Huawei load balancer network id.
    pub external_huaweicloud_lbaas_network_id: Option<String>,
    /// Huawei security group.
    pub external_huaweicloud_security_group_id: Option<String>,
    /// CA bundle for Huawei endpoints.
    pub external_huaweicloud_cacert: Option<String>,
}

/// The cloud controller of Hetzner.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Hetzner {
    /// Hetzner cloud controller settings.
    pub external_hcloud_cloud: Secret<JsonMap>,
}

/// The cloud controller of vSphere.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Vsphere {
    /// Extra arguments of external vSphere cloud controller.
    pub external_vsphere_cloud_controller_extra_args: JsonMap,
    /// Image tag of external vSphere cloud controller.
    pub external_vsphere_cloud_controller_image_tag: String,
    /// VCenter address.
    pub external_vsphere_vcenter_ip: Option<String>,
    /// VSphere datacenter name.
    pub external_vsphere_datacenter: Option<String>,
}
