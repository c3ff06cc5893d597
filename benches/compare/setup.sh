# shellcheck shell=bash
# Part of run.sh: what it needs, and the start of each entry.
# shellcheck disable=SC2154 # scratch, entries, cores, plain … are run.sh's.

declare -A ports=()

wanted() {
  [[ " ${entries[*]} " == *" $1 "* ]]
}

lua_modules() {
  local directory
  for directory in /usr/lib/nginx/modules /usr/lib64/nginx/modules /etc/nginx/modules; do
    [[ -e $directory/ngx_http_lua_module.so ]] && echo "$directory" && return
  done
  return 1
}

new_node() {
  command -v npm >/dev/null && node -e 'const [a, b] = process.versions.node.split("."); process.exit(a * 100 + +b < 2018 ? 1 : 0)'
}

# Every program that is needed: a command which succeeds where it is there, and its package.
needed() {
  echo "command -v wrk:wrk"
  echo "command -v curl:curl"
  if wanted pass || wanted lua; then echo "command -v nginx:nginx-light"; fi
  if wanted lua; then echo "lua_modules:libnginx-mod-http-lua lua-cjson"; fi
  if wanted haproxy; then echo "command -v haproxy:haproxy"; fi
  if wanted node; then echo "new_node:nodejs npm"; fi
}

install_what_is_missing() {
  local test package packages=() missing=()
  while IFS=: read -r test package; do
    $test >/dev/null 2>&1 || packages+=("$package")
  done < <(needed)
  if ((${#packages[@]})) && [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    echo "installing ${packages[*]}" >&2
    # A list of packages, each a word.
    # shellcheck disable=SC2048,SC2086
    { DEBIAN_FRONTEND=noninteractive && export DEBIAN_FRONTEND && apt-get update -qq &&
      apt-get install -y -qq --no-install-recommends ${packages[*]}; } >"$scratch/apt.log" 2>&1 ||
      echo "apt-get failed, see $scratch/apt.log" >&2
  fi
  while IFS=: read -r test package; do
    $test >/dev/null 2>&1 || missing+=("${package% *}")
  done < <(needed)
  ((${#missing[@]} == 0)) ||
    die "missing: ${missing[*]} (packages of Debian and Ubuntu; node must be 20.18 or newer). Install them, or leave out an entry with --entries"
}

# Builds a target and prints the path of its program: the target's name, cargo's arguments.
# A bench brings claimgate with it, and cargo tells of the two in the order in which they happened to be ready.
built() {
  local name=$1 lines program
  shift
  lines=$(cd "$ROOT" && cargo "$@" --locked --message-format json) || die "cargo $1 failed"
  program=$(sed -n '/"target":{[^}]*"name":"'"$name"'"/s/.*"executable":"\([^"]*\)".*/\1/p' <<<"$lines")
  [[ -x $program ]] || die "cargo $1 built no program $name, or more than one: $program"
  echo "$program"
}

free_port() {
  local port
  while true; do
    port=$((RANDOM % 20000 + 10000))
    [[ " ${ports[*]} $api_port ${admin_port:-} " == *" $port "* ]] && continue
    # Nobody answers there: it is free.
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

set_up() {
  install_what_is_missing
  local api=${COMPARE_API_BIN:-}
  claimgate=${CLAIMGATE_BIN:-}
  if wanted claimgate && [[ -z $claimgate ]]; then
    echo "building claimgate" >&2
    if [[ $profile == dist && -z $plain ]]; then
      # What is there already is left alone; what cannot be had is named by the script.
      [[ -n ${LLVM_PROFDATA:-} ]] || rustup component add llvm-tools >"$scratch/rustup.log" 2>&1 || true
      claimgate=$("$ROOT/deploy/build-release.sh") || die "deploy/build-release.sh failed"
    else
      claimgate=$(built claimgate build --profile "$profile" --bin claimgate)
    fi
  fi
  if [[ -z $api ]]; then
    echo "building the API" >&2
    api=$(built compare_api bench --no-run --profile "$profile" --bench compare_api)
  fi
  if wanted node; then
    mkdir -p "$scratch/node"
    cp "$HERE/peers/node/"{package.json,package-lock.json,gate.js} "$scratch/node/"
    npm ci --prefix "$scratch/node" --omit=dev --no-audit --no-fund --ignore-scripts >"$scratch/npm.log" 2>&1 ||
      die "npm ci failed, see $scratch/npm.log"
  fi
  # Not that of an earlier run.
  rm -f "$scratch/api.out"
  taskset -c "$load_core" "$api" 127.0.0.1:0 >"$scratch/api.out" 2>"$scratch/api.log" &
  pids[api]=$!
  until_true api test -s "$scratch/api.out"
  api_port=$(cut -d: -f2 "$scratch/api.out")
}

# Waits until a command succeeds: the entry that it waits for, the command.
until_true() {
  local entry=$1
  shift
  for _ in {1..100}; do
    "$@" >/dev/null 2>&1 && return
    kill -0 "${pids[$entry]}" 2>/dev/null || break
    sleep 0.1
  done
  die "$entry did not start; see $scratch/$entry.log"
}

# A file of this directory, with the ports of this run.
configured() {
  sed -e "s/127.0.0.1:18080/127.0.0.1:$port/" -e "s/127.0.0.1:18081/127.0.0.1:$api_port/" \
    -e "s/127.0.0.1:18090/127.0.0.1:$admin_port/" -e "s#HERE#$scratch#" -e "s#MODULES#$modules#" "$HERE/$1"
}

# Starts an entry on the core of the proxies and waits until it listens.
start() {
  local entry=$1 port admin_port='' modules='' ready=()
  port=$(free_port)
  ready=(bash -c "exec 3<>/dev/tcp/127.0.0.1/$port")
  case $entry in
    claimgate)
      admin_port=$(free_port)
      configured claimgate.yaml >"$scratch/claimgate.yaml"
      ENTRA_PASSWORD=entra-password-of-thirty-two-bytes API_PASSWORD=api-password \
        taskset -c "$proxy_core" "$claimgate" serve --log-format json --config "$scratch/claimgate.yaml" \
        >/dev/null 2>"$scratch/claimgate.log" &
      ready=(curl -sf --max-time 5 "http://127.0.0.1:$admin_port/readyz")
      ;;
    pass | lua)
      if [[ $entry == lua ]]; then
        modules=$(lua_modules)
        cp "$HERE/peers/gate.lua" "$scratch/"
      fi
      configured "peers/$entry.conf" >"$scratch/$entry.conf"
      taskset -c "$proxy_core" nginx -p "$scratch" -c "$scratch/$entry.conf" -e "$scratch/$entry.log" 2>&1 &
      ;;
    haproxy)
      configured peers/haproxy.cfg >"$scratch/haproxy.cfg"
      taskset -c "$proxy_core" haproxy -db -f "$scratch/haproxy.cfg" >"$scratch/haproxy.log" 2>&1 &
      ;;
    node)
      (cd "$scratch/node" && NODE_ENV=production exec taskset -c "$proxy_core" node gate.js "$port" "$api_port") \
        >"$scratch/node.log" 2>&1 &
      ;;
  esac
  pids["$entry"]=$!
  ports["$entry"]=$port
  until_true "$entry" "${ready[@]}"
}

# What is measured, and on what: lines of `# NAME TEXT`.
describe() {
  local nginx='' changed=''
  [[ -z $(git -C "$ROOT" status --porcelain -- src Cargo.toml Cargo.lock 2>/dev/null) ]] || changed=', changed'
  echo "# machine $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -1), $(nproc) cores, Linux $(uname -r)"
  echo "# date $(date -u +%Y-%m-%d)"
  echo "# commit $(git -C "$ROOT" rev-parse --short HEAD 2>/dev/null || echo unknown)$changed"
  echo "# load $connections connections, $seconds s each, pause ${pause} ms"
  if wanted pass || wanted lua; then nginx=$(nginx -v 2>&1 | sed 's#.*nginx/##'); fi
  if wanted claimgate; then
    echo "# claimgate claimgate $("$claimgate" --version | cut -d' ' -f2), the whole job"
    echo "# program $(sha256sum "$claimgate" | cut -c1-16)"
  fi
  if wanted pass; then echo "# pass nginx $nginx, passing on"; fi
  if wanted lua; then echo "# lua nginx $nginx with Lua, the whole job"; fi
  if wanted haproxy; then
    echo "# haproxy HAProxy $(haproxy -v | sed -n '1s/.*version \([0-9.]*\).*/\1/p'), passing on"
  fi
  if wanted node; then
    local packages
    # JavaScript, not shell, has the last word here.
    # shellcheck disable=SC2016
    packages=$(cd "$scratch/node" && node -p '["fastify", "undici"].map((name) =>
      `${name} ${JSON.parse(fs.readFileSync(`node_modules/${name}/package.json`)).version}`).join(", ")')
    echo "# node Node $(node -p process.versions.node) ($packages), the whole job"
  fi
}
