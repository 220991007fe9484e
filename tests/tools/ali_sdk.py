"""Ali's own SDK as a client: lists, adds, marks, changes, pauses, weighs and deletes records of a zone, and prints what
it is told, a line of JSON each.

usage: ali_sdk.py HOST:PORT KEY_ID SECRET (acs3|v1) ZONE
"""
import json
import sys

from alibabacloud_alidns20150109 import models
from alibabacloud_alidns20150109.client import Client
from alibabacloud_tea_openapi.utils_models import Config

endpoint, key_id, secret, scheme, zone = sys.argv[1:]
config = Config(access_key_id=key_id, access_key_secret=secret, endpoint=endpoint, protocol="http")
if scheme == "v1":
    # The SDK's name for the older RPC signature.
    config.signature_algorithm = "v2"
client = Client(config)


def show(step, answer):
    print(json.dumps({"step": step, **answer}, ensure_ascii=False, sort_keys=True))


def call(step, method, request, fields=()):
    """Calls and shows some fields of the answer, or the code that it was refused with."""
    try:
        body = method(request).body.to_map()
    except Exception as error:
        show(step, {"refused": getattr(error, "code", repr(error)), "status": getattr(error, "status_code", None)})
        return {}
    assert len(body.pop("RequestId")) == 36
    show(step, {field: body.get(field) for field in fields})
    return body


def listed(step, **filters):
    rows, page = [], 1
    while True:
        request = models.DescribeDomainRecordsRequest(domain_name=zone, page_size=2, page_number=page, **filters)
        body = client.describe_domain_records(request).body.to_map()
        rows += body["DomainRecords"]["Record"]
        if body["TotalCount"] <= len(rows):
            break
        page += 1
    keep = ("RR", "Type", "Line", "Value", "TTL", "Status", "Locked", "Weight", "Remark")
    rows = [{name: row[name] for name in keep if name in row} for row in rows]
    show(step, {"pages": page, "rows": sorted(rows, key=lambda row: (row["RR"], row["Line"], row["Value"]))})


def add(step, rr, line, value, ttl=600, kind="A"):
    request = models.AddDomainRecordRequest(domain_name=zone, rr=rr, type=kind, value=value, ttl=ttl, line=line)
    return call(step, client.add_domain_record, request).get("RecordId")


call("domains", client.describe_domains, models.DescribeDomainsRequest(page_size=100), ["TotalCount"])
info = models.DescribeDomainInfoRequest(domain_name=zone, need_detail_attributes=True)
call("info", client.describe_domain_info, info, ["DomainName", "MinTtl", "VersionCode"])
www = add("add", "www", "default", "192.0.2.1")
star = add("add a wildcard", "*.例子", "telecom", "192.0.2.2", ttl=1200)
add("add twice", "www", "default", "192.0.2.1")
add("add below the floor", "www", "unicom", "192.0.2.1", ttl=60)
remark = models.UpdateDomainRecordRemarkRequest(record_id=www, remark="cocoasyncer-v1,north")
call("remark", client.update_domain_record_remark, remark)
update = dict(record_id=www, rr="www", type="A", line="default", ttl=600)
call("update", client.update_domain_record, models.UpdateDomainRecordRequest(value="192.0.2.9", **update))
call("update to the same", client.update_domain_record, models.UpdateDomainRecordRequest(value="192.0.2.9", **update))
pause = models.SetDomainRecordStatusRequest(record_id=star, status="Disable")
call("pause", client.set_domain_record_status, pause, ["Status"])
balance = models.SetDNSSLBStatusRequest(sub_domain=f"www.{zone}", open=True, line="default", type="A")
call("balance", client.set_dnsslbstatus, balance, ["Open", "RecordCount"])
weight = models.UpdateDNSSLBWeightRequest(record_id=www, weight=7)
call("weigh", client.update_dnsslbweight, weight, ["Weight"])
listed("list")
listed("list fuzzily", rrkey_word="WW")
sub = models.DescribeSubDomainRecordsRequest(sub_domain=f"www.{zone}", line="default")
call("one name", client.describe_sub_domain_records, sub, ["TotalCount", "PageSize"])
one = models.DescribeDomainRecordInfoRequest(record_id=www)
call("one record", client.describe_domain_record_info, one, ["RR", "Value", "Remark", "DomainName"])
call("delete", client.delete_domain_record, models.DeleteDomainRecordRequest(record_id=www))
call("delete again", client.delete_domain_record, models.DeleteDomainRecordRequest(record_id=www))
listed("list at the end")
