#!/usr/bin/env bash
# Images for the tests out of Debian packages, without a registry: images.sh tiny|redis|nginx|mariadb|wordpress ...
# They stand in for the images that our own templates name, and behave as those do as far as the templates use it. An
# image of this very script is not made again. Packages come from wherever apt gets them; nothing is installed.
set -euo pipefail
script=$(readlink -f "$0")
digest=$(sha256sum "$script" | cut -c1-16)
mark=cocoasyncer.test.images
docker=(docker); [ -z "${1:-}" ] && { echo "which?" >&2; exit 2; }
exec 8>"${TMPDIR:-/tmp}/cocoasyncer-test-images.lock"; flock 8

# What an image needs not, because nothing configures packages here.
skip='^(debconf|perl|perl-.*|libperl.*|libgdbm.*|libdb5.3|.*-perl|adduser|passwd|dpkg|tar|usrmerge|init-system-helpers|sysvinit-utils|lsb-base|ucf|sensible-utils|fonts-.*|fontconfig-config|apache2|apache2-data|apache2-utils|default-mysql-client|openssl|procps|psmisc|tzdata)$'

# unpack PACKAGE...: their closure, as if nothing were installed, in $root
unpack() {
  local names
  names=$(apt-get -o Dir::State::status=/dev/null -o Debug::NoLocking=1 -s install --no-install-recommends "$@" busybox-static 2>/dev/null |
    awk '/^Inst/{print $2}' | sed 's/:.*//' | grep -Ev "$skip" | sort -u)
  mkdir -p "$work/debs" "$root"/usr/{bin,sbin,lib,lib64}
  # shellcheck disable=SC2086
  (cd "$work/debs" && apt-get -qq -o APT::Sandbox::User=root download $names)
  local name; for name in bin sbin lib lib64; do ln -s "usr/$name" "$root/$name"; done
  # dpkg -x would put folders where the links stand.
  local deb; for deb in "$work"/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink \
      --exclude './usr/share/doc/*' --exclude './usr/share/man/*' --exclude './usr/share/locale/*'
  done
  mkdir -p "$root"/{etc,tmp,run,root,proc,sys,dev,var/log,var/lib}; chmod 1777 "$root/tmp"
  [ -e "$root/var/run" ] || ln -s /run "$root/var/run"
  local tool; for tool in $("$root/bin/busybox" --list); do
    [ -e "$root/bin/$tool" ] || [ -e "$root/sbin/$tool" ] || ln -s busybox "$root/bin/$tool"
  done
  cat > "$root/etc/passwd" <<'P'
root:x:0:0:root:/root:/bin/sh
www-data:x:33:33::/var/www:/bin/false
redis:x:999:999::/data:/bin/false
mysql:x:998:998::/var/lib/mysql:/bin/false
P
  printf 'root:x:0:\nwww-data:x:33:\nredis:x:999:\nmysql:x:998:\n' > "$root/etc/group"
  echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
}

# program PATH: standard input as a program of the image
program() { mkdir -p "$(dirname "$root/$1")"; cat > "$root/$1"; chmod 755 "$root/$1"; }

# import CHANGE...: $root as an image with all of its $tags
import() {
  local changes=() change; for change; do changes+=(-c "$change"); done
  set -- $tags
  tar -C "$root" --numeric-owner -c . | "${docker[@]}" import "${changes[@]}" -c "LABEL $mark=$digest" \
    -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - "$1" >/dev/null
  local tag; for tag; do [ "$tag" = "$1" ] || "${docker[@]}" tag "$1" "$tag"; done
}

tiny() { unpack; import 'CMD ["sh"]'; }

redis() {
  unpack redis-server redis-tools
  mkdir -p "$root/data"; chown 999:999 "$root/data"
  program usr/local/bin/docker-entrypoint.sh <<'S'
#!/bin/sh
[ "${1#-}" = "$1" ] || set -- redis-server "$@"
exec "$@"
S
  import 'WORKDIR /data' 'VOLUME /data' 'EXPOSE 6379' 'ENTRYPOINT ["docker-entrypoint.sh"]' 'CMD ["redis-server"]'
}

nginx() {
  unpack nginx curl bash
  mkdir -p "$root"/usr/share/nginx/html "$root"/etc/nginx/conf.d "$root"/var/log/nginx "$root"/var/lib/nginx
  cat > "$root/etc/nginx/nginx.conf" <<'S'
user www-data; worker_processes 1; error_log /dev/stderr notice; pid /run/nginx.pid;
events { worker_connections 256; }
http { include /etc/nginx/mime.types; access_log /dev/stdout; include /etc/nginx/conf.d/*.conf; }
S
  echo 'server { listen 80; root /usr/share/nginx/html; }' > "$root/etc/nginx/conf.d/default.conf"
  echo '<h1>Welcome to nginx!</h1>' > "$root/usr/share/nginx/html/index.html"
  import 'EXPOSE 80' 'CMD ["nginx","-g","daemon off;"]'
}

mariadb() {
  unpack mariadb-server-core mariadb-client
  mkdir -p "$root/var/lib/mysql" "$root/run/mysqld"; chown 998:998 "$root/var/lib/mysql" "$root/run/mysqld"
  program usr/local/bin/docker-entrypoint.sh <<'S'
#!/bin/sh
set -eu
mkdir -p /run/mysqld; chown mysql:mysql /run/mysqld /var/lib/mysql
if [ ! -d /var/lib/mysql/mysql ]; then
  mariadb-install-db --user=mysql --datadir=/var/lib/mysql --skip-test-db --auth-root-authentication-method=normal >/dev/null
  {
    echo "SET PASSWORD FOR 'root'@'localhost' = PASSWORD('$MARIADB_ROOT_PASSWORD');"
    echo "CREATE USER 'root'@'%' IDENTIFIED BY '$MARIADB_ROOT_PASSWORD'; GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;"
    [ -z "${MARIADB_DATABASE:-}" ] || echo "CREATE DATABASE \`$MARIADB_DATABASE\`;"
    [ -z "${MARIADB_USER:-}" ] || echo "CREATE USER '$MARIADB_USER'@'%' IDENTIFIED BY '$MARIADB_PASSWORD';"
    [ -z "${MARIADB_USER:-}" ] || echo "GRANT ALL ON \`${MARIADB_DATABASE:-test}\`.* TO '$MARIADB_USER'@'%';"
  } > /tmp/init.sql
  set -- "$@" --init-file=/tmp/init.sql
fi
exec "$@"
S
  program usr/local/bin/healthcheck.sh <<'S'
#!/bin/sh
exec mariadb -h127.0.0.1 -uroot -p"$MARIADB_ROOT_PASSWORD" -e 'select 1' >/dev/null
S
  import 'VOLUME /var/lib/mysql' 'EXPOSE 3306' 'ENTRYPOINT ["docker-entrypoint.sh"]' \
    'CMD ["mariadbd","--user=mysql","--datadir=/var/lib/mysql","--bind-address=0.0.0.0"]'
}

wordpress() {
  unpack wordpress apache2-bin libapache2-mod-php8.2 php8.2-mysql curl
  mkdir -p "$root"/var/www/html "$root"/usr/local/etc/php/conf.d "$root"/etc/apache2
  [ -e "$root/usr/bin/php" ] || ln -s php8.2 "$root/usr/bin/php"
  cat > "$root/etc/apache2/apache2.conf" <<'S'
ServerRoot /etc/apache2
ServerName localhost
PidFile /run/apache2.pid
Listen 80
User www-data
Group www-data
ErrorLog /dev/stderr
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
LoadModule php_module /usr/lib/apache2/modules/libphp8.2.so
TypesConfig /etc/mime.types
StartServers 2
DocumentRoot /var/www/html
DirectoryIndex index.php index.html
<FilesMatch "\.php$">
  SetHandler application/x-httpd-php
</FilesMatch>
S
  # Packages leave their switching on to scripts that don't run here.
  for module in mysqlnd mysqli gd; do
    [ ! -e "$root/usr/lib/php/20220829/$module.so" ] || echo "extension=$module" >> "$root/usr/local/etc/php/conf.d/debian.ini"
  done
  program usr/local/bin/docker-entrypoint.sh <<'S'
#!/bin/sh
set -eu
cd /var/www/html
if [ ! -e wp-login.php ]; then
  cp -aL /usr/share/wordpress/. . 2>/dev/null || true
  cat > wp-config.php <<'P'
<?php
define('DB_NAME', getenv('WORDPRESS_DB_NAME'));
define('DB_USER', getenv('WORDPRESS_DB_USER'));
define('DB_PASSWORD', getenv('WORDPRESS_DB_PASSWORD'));
define('DB_HOST', getenv('WORDPRESS_DB_HOST'));
define('DB_CHARSET', 'utf8mb4');
define('DISABLE_WP_CRON', true);
define('WP_HTTP_BLOCK_EXTERNAL', true);
$table_prefix = 'wp_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
P
  chown -R www-data:www-data .
fi
exec "$@"
S
  import 'WORKDIR /var/www/html' 'VOLUME /var/www/html' 'EXPOSE 80' 'ENV PHP_INI_SCAN_DIR=/usr/local/etc/php/conf.d' \
    'ENTRYPOINT ["docker-entrypoint.sh"]' 'CMD ["apache2","-f","/etc/apache2/apache2.conf","-D","FOREGROUND"]'
}

for image; do
  case $image in
    tiny) tags=cocoasyncer-test/tiny:1 ;;
    redis) tags='redis:8.2 redis:8.0' ;;
    nginx) tags='nginx:1.28 nginx:1.27' ;;
    mariadb) tags='mariadb:11.8' ;;
    wordpress) tags='wordpress:6.8 wordpress:6.7' ;;
    *) echo "no image $image" >&2; exit 2 ;;
  esac
  made=yes
  for tag in $tags; do
    [ "$("${docker[@]}" image inspect -f "{{index .Config.Labels \"$mark\"}}" "$tag" 2>/dev/null)" = "$digest" ] || made=
  done
  [ -z "$made" ] || continue
  work=$(mktemp -d); root=$work/root; trap 'rm -rf "$work"' EXIT
  $image
  rm -rf "$work"
done
