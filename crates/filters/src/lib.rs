//! The filters, tests, lookups and functions that templates call, as Jinja 3.1, Ansible 2.18 and the
//! collection `ansible.utils` define them.
mod ip;
