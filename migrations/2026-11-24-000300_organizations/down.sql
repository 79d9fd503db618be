DROP TABLE organization_members;
DROP TABLE organizations;
DROP FUNCTION refuse_deletion_of_peopled_organization();
