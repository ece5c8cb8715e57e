#!/usr/bin/env bash
# Ends with 0 when the server says that it is ready (the image holds no HTTP client).
exec 3<>/dev/tcp/127.0.0.1/8080 || exit 1
printf 'GET /v1/.well-known/ready HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
read -r status <&3
[[ "$status" == *" 200 "* ]]
