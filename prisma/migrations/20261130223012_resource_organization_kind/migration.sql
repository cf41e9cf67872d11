-- Its work is done by "resource_organization_lane".
DROP INDEX CONCURRENTLY "resource_organization_kind";
