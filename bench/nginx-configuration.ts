/** The frame of an nginx configuration file that needs no privileges and writes only below one folder. */

/** Wraps `http`, the text of the http block that differs, in what every benchmark's nginx shares. */
export function nginxConfiguration(directory: string, http: string): string {
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `    ${name}_temp_path ${directory}/${name};`)
    .join('\n')
  return `
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log error;
events { worker_connections 15000; }
http {
    access_log off;
    keepalive_requests 100000000;
${paths}
${http}
}
`
}
