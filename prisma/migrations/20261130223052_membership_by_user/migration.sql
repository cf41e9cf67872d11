-- Its work is done by "directory_membership_user_id_id_idx".
DROP INDEX CONCURRENTLY "directory_membership_user_id_idx";
