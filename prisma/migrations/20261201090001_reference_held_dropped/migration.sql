DROP INDEX CONCURRENTLY "resource_reference_held";
