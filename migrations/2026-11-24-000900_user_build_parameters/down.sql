DROP TABLE user_build_parameters;
