--- An RSA key with a self-signed certificate, by openssl, in a folder of its own.
--
--   local pair = key_pair.new{ password = "of the key's file", combined = true }   both may be missing
--   pair.certificate_file, pair.key_file      PEM; one and the same when combined
--   pair.certificate                          the text of the certificate
--   pair:thumbprint "sha1"                    in base64url, as x5t; "sha256" as x5t#S256
--   pair:sign("PS256", text)                  in base64url; "RS256" too
--   pair:remove()                             the folder

local shell = require "spec.support.shell"

local key_pair = {}

local Pair = {}
Pair.__index = Pair

local AS_BASE64URL = " | openssl base64 -A | tr '+/' '-_' | tr -d '='"

local quote = shell.quote

--- As JWTs are written.
function key_pair.base64url(text)
  local path = os.tmpname()
  shell.write(path, text)
  local encoded = shell.must("cat " .. quote(path) .. AS_BASE64URL)
  os.remove(path)
  return encoded
end

local function create(self)
  local protection = self.password and "-passout " .. quote("pass:" .. self.password) or "-nodes"
  shell.must(("openssl req -x509 -newkey rsa:2048 -subj /CN=simulator -days 2 %s -keyout %s -out %s"):format(
    protection, quote(self.key_file), quote(self.certificate_file)))
  self.certificate = shell.read(self.certificate_file)
end

local function combine(self)
  local path = self.directory .. "/both.pem"
  shell.write(path, shell.read(self.key_file) .. self.certificate)
  self.key_file, self.certificate_file = path, path
end

function key_pair.new(options)
  options = options or {}
  local directory = shell.temporary_directory()
  local self = setmetatable({
    directory = directory, password = options.password,
    key_file = directory .. "/key.pem", certificate_file = directory .. "/certificate.pem",
  }, Pair)
  create(self)
  if options.combined then combine(self) end
  return self
end

function Pair:thumbprint(digest)
  return shell.must(("openssl x509 -in %s -outform DER | openssl dgst -%s -binary"):format(
    quote(self.certificate_file), digest) .. AS_BASE64URL)
end

local padding = { RS256 = "", PS256 = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32" }

function Pair:sign(algorithm, text)
  local path = self.directory .. "/signed"
  shell.write(path, text)
  local password = self.password and "-passin " .. quote("pass:" .. self.password) or ""
  return shell.must(("openssl dgst -sha256 -sign %s %s %s %s"):format(
    quote(self.key_file), password, padding[algorithm], quote(path)) .. AS_BASE64URL)
end

function Pair:remove()
  shell.must("rm -rf " .. quote(self.directory))
end

return key_pair
