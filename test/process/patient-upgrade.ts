/**
 * The keys of an upgrade that waits long for its other side: a loaded machine may take more than
 * the default of five seconds to start a process.
 */
export const PATIENT_UPGRADE = `upgrade_sock: upgrade.sock
upgrade_sock_connect_accept_max_retries: 60`
