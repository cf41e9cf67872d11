-- Its work is done by "webhook_endpoint_organization_id_id_idx".
DROP INDEX CONCURRENTLY "webhook_endpoint_organization_id_idx";
